package arch

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/asterinas/asterbot"

func TestTheTreeHoldsTheTable(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	require.NoError(t, err)
	table, err := ParseTable(text)
	require.NoError(t, err)
	broken, err := Check(os.DirFS("../.."), module, table)
	require.NoError(t, err)
	assert.Empty(t, broken)
	_ = table
}

func TestARuleThatIsBrokenIsSeen(t *testing.T) {
	table, err := ParseTable([]byte("| room | what it is | may import |\n|---|---|---|\n" +
		"| `cmd/bot` | x | everything |\n| `low` | x | |\n| `low/edge` | x | `low` |\n"))
	require.NoError(t, err)
	file := func(imports string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package p\nimport (\n" + imports + "\n)\n")}
	}
	for _, tc := range []struct {
		name string
		tree fstest.MapFS
		want []string
	}{
		{"an edge may import what is below it", fstest.MapFS{"low/edge/a.go": file(`"` + module + `/low"`)}, nil},
		{"the bottom may not import the edge", fstest.MapFS{"low/a.go": file(`"` + module + `/low/edge"`)},
			[]string{"low/a.go: low may not import low/edge"}},
		{"a test file is held to the rule too", fstest.MapFS{"low/a_test.go": file(`"` + module + `/low/edge"`)},
			[]string{"low/a_test.go: low may not import low/edge"}},
		{"a folder below a room belongs to it", fstest.MapFS{"low/deep/a.go": file(`"` + module + `/low/edge"`)},
			[]string{"low/deep/a.go: low may not import low/edge"}},
		{"the wiring may import everything", fstest.MapFS{"cmd/bot/a.go": file(`"` + module + `/low/edge"`)}, nil},
		{"a folder without a row is an error", fstest.MapFS{"util/a.go": file(`"fmt"`)},
			[]string{"util/a.go: util has no row in the table of rooms"}},
		{"an import of a room that does not exist is an error", fstest.MapFS{"low/a.go": file(`"` + module + `/gone"`)},
			[]string{"low/a.go: low may not import gone"}},
		{"the standard library is free", fstest.MapFS{"low/a.go": file(`"os/exec"`)}, nil},
		{"test data is not code", fstest.MapFS{"low/testdata/a.go": file(`"` + module + `/low/edge"`)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			broken, err := Check(tc.tree, module, table)
			require.NoError(t, err)
			assert.Equal(t, tc.want, broken)
		})
	}
}
