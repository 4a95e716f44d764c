//go:build soak

package app_test

import "testing"

// More than 1,000 deliveries over 50 pull requests, killed 50 times.
func TestSoakDeliveries(t *testing.T) {
	soak(t, campaign{pulls: 50, steps: 2200, kills: 50, faults: 0.3, seed: 42})
}
