package distro_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
)

const plainDrv = `Derive([("out","/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x","","")],[("/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-y.drv",["dev","out"])],["/nix/store/cccccccccccccccccccccccccccccccc-z.patch"],"x86_64-linux","/bin/sh",["-c","echo \"hi\"\n"],[("name","x"),("t","a\tb\\n")])`

func TestParseDrv(t *testing.T) {
	d, err := distro.ParseDrv(plainDrv)
	require.NoError(t, err)
	assert.Equal(t, []distro.DrvInput{{Drv: "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-y.drv", Outputs: []string{"dev", "out"}}}, d.Inputs)
	assert.Equal(t, []string{"-c", "echo \"hi\"\n"}, d.Args)
	v, ok := d.Lookup("t")
	assert.True(t, ok)
	assert.Equal(t, "a\tb\\n", v)
	assert.False(t, d.Fixed())

	t.Run("a derivation with dynamic inputs, of newer versions", func(t *testing.T) {
		text := strings.Replace(plainDrv, "Derive(", `DrvWithVersion("xp-dyn-drv",`, 1)
		text = strings.Replace(text, `["dev","out"]`, `(["dev","out"],[("out",["bin"])])`, 1)
		d, err := distro.ParseDrv(text)
		require.NoError(t, err)
		assert.Equal(t, []string{"dev", "out"}, d.Inputs[0].Outputs)
	})
	for i := range len(plainDrv) {
		_, err := distro.ParseDrv(plainDrv[:i])
		require.Error(t, err, "cut off after %d bytes", i)
	}
}

func FuzzParseDrv(f *testing.F) {
	f.Add(plainDrv)
	f.Add(`DrvWithVersion("xp-dyn-drv",[],[("a",(((([],[]),[]),[]),[]))],[],"","",[],[])`)
	f.Add(`Derive([],[],[],"","",[],[("\\`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := distro.ParseDrv(text)
		if (d == nil) == (err == nil) {
			t.Fatal("exactly one of result and error is set")
		}
		if d == nil {
			return
		}
		var n int
		for _, v := range d.Env {
			n += len(v.Name) + len(v.Value)
		}
		if n > len(text) {
			t.Fatal("more came out than went in")
		}
	})
}
