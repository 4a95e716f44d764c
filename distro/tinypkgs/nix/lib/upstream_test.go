//go:build upstream

package lib_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// nixpkgsLib names a checkout of nixpkgs' library (a folder with lib's
// default.nix): with it, the same modules are evaluated under both.
const nixpkgsLib = "ASTERBOT_NIX_LIB"

func upstream(t *testing.T) string {
	dir := os.Getenv(nixpkgsLib)
	if dir == "" {
		t.Skipf("needs nixpkgs' library: set %s to a checkout of it", nixpkgsLib)
	}
	abs, err := filepath.Abs(dir)
	require.NoError(t, err)
	return "(import " + abs + ")"
}

// The table is only worth something if it says what nixpkgs does.
func TestModulesUpstream(t *testing.T) { values(t, upstream(t)) }

// What is an error here is one there; the words differ.
func TestMessagesUpstream(t *testing.T) {
	messages(t, upstream(t), func(*testing.T, []string, string) {})
}
