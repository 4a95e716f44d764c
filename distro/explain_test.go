package distro_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestCommonErrorsAreExplained reads testdata/explain: NAME.SOURCE.txt holds a
// message, below a line that says where it is from, and must be explained as
// NAME. Those of nix-2.8 were recorded.
func TestCommonErrorsAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	covered := map[string]bool{}
	var golden strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, message, _ := strings.Cut(string(text), "\n")
		base := filepath.Base(file)
		name, _, _ := strings.Cut(base, ".")
		e, ok := distro.Explain(message)
		if assert.True(t, ok, "%s is not explained", base) {
			assert.Equal(t, name, e.Name, base)
		}
		assert.NotRegexp(t, `\$[0-9]`, e.What+e.Do, base)
		covered[e.Name] = true
		fmt.Fprintf(&golden, "%s\n  %s\n  %s\n\n", base, e.What, e.Do)
	}
	for _, name := range distro.Explanations() {
		assert.True(t, covered[name], "no example of %s", name)
	}
	if *update {
		require.NoError(t, os.WriteFile("testdata/explanations.golden", []byte(golden.String()), 0o644))
	}
	want, err := os.ReadFile("testdata/explanations.golden")
	require.NoError(t, err)
	assert.Equal(t, string(want), golden.String())
}

func TestWhatIsNotKnownIsNotExplained(t *testing.T) {
	for _, message := range []string{
		"", "error: lua: this version is too old", "hello, world",
		"warning: unable to download 'https://cache.example.org/nix-cache-info': Couldn't resolve host name (6)",
	} {
		_, ok := distro.Explain(message)
		assert.False(t, ok, message)
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("error: attribute 'lua' missing")
	f.Add("hash mismatch in fixed-output derivation 'x'")
	f.Fuzz(func(t *testing.T, message string) {
		if e, ok := distro.Explain(message); ok {
			require.NotEmpty(t, e.Name)
			require.NotEmpty(t, e.What)
			require.NotEmpty(t, e.Do)
		}
	})
}
