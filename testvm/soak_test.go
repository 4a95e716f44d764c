//go:build soak

package testvm_test

import "testing"

func TestSoakAKilledHarnessLeavesNothing(t *testing.T) { killed(t, 100) }

func TestSoakAGigabyteOfConsole(t *testing.T) { flood(t, 1<<30) }
