//go:build soak

package app_test

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/asterinas/asterbot/internal/githubtest"
)

// More than 1,000 deliveries over 50 pull requests, killed 50 times.
func TestSoakDeliveries(t *testing.T) {
	soak(t, campaign{pulls: 50, steps: 2200, kills: 50, weather: mixed(0.3), seed: 42})
}

// Weather that is bad in one way, and worse than mixed.
func TestSoakWeather(t *testing.T) {
	write := func(r *http.Request) bool { return r.Method != http.MethodGet }
	asked := 0
	for _, tc := range []struct {
		name    string
		weather weather
		skew    time.Duration
		down    time.Duration
	}{
		{"a storm on writes alone", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			if write(r) && rnd.IntN(10) < 6 {
				return &githubtest.Fault{Status: 502, After: rnd.IntN(2) == 0}
			}
			return nil
		}, 0, 0},
		{"a storm on reads alone", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			if !write(r) && rnd.IntN(10) < 6 {
				return &githubtest.Fault{Status: 500 + rnd.IntN(5)}
			}
			return nil
		}, 0, 0},
		{"writes that take effect and are never answered", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			if write(r) && rnd.IntN(10) < 5 {
				return &githubtest.Fault{Reset: true, After: true}
			}
			return nil
		}, 0, 0},
		{"bodies that trickle, and some that break off", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			switch rnd.IntN(10) {
			case 0:
				return &githubtest.Fault{SlowBody: 20 * time.Microsecond}
			case 1:
				return &githubtest.Fault{Delay: time.Duration(rnd.IntN(1500)) * time.Millisecond, Reset: true, After: true}
			}
			return nil
		}, 0, 0},
		{"minutes of downtime in which deliveries are lost", mixed(0.2), 0, 3 * time.Second},
		{"a clock five hours behind GitHub's", mixed(0.3), 5 * time.Hour, 0},
		{"a clock five hours ahead of GitHub's", mixed(0.3), -5 * time.Hour, 0},
		{"storms that come and go", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			if time.Now().Unix()%7 < 3 {
				return &githubtest.Fault{Status: 503, After: rnd.IntN(3) == 0}
			}
			return nil
		}, 0, 0},
		{"a 429 without headers, in a storm of 403 that ask for a second", func(rnd *rand.Rand, r *http.Request) *githubtest.Fault {
			if asked++; asked == 150 {
				return &githubtest.Fault{Status: 429} // a minute of silence
			}
			if rnd.IntN(20) == 0 {
				return &githubtest.Fault{Status: 403, Header: map[string]string{"Retry-After": "1"}, Body: `{"message":"You have exceeded a secondary rate limit"}`}
			}
			return nil
		}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			soak(t, campaign{pulls: 20, steps: 300, kills: 8, weather: tc.weather, seed: uint64(len(tc.name)), skew: tc.skew, down: tc.down})
		})
	}
}
