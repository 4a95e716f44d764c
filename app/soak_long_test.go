//go:build soak

package app_test

import "testing"

// 1,000 steps over 50 pull requests, each with a delivery or more, killed 50 times.
func TestSoakDeliveries(t *testing.T) {
	soak(t, campaign{pulls: 50, steps: 1300, kills: 50, faults: 0.3, seed: 42})
}
