package nix

import (
	"os"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/asterinas/asterbot/distro"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"nix-instantiate (Nix) 2.8.0\n":                {2, 8, 0},
		"nix-instantiate (Nix) 2.26.3\n":               {2, 26, 3},
		"nix-instantiate (Nix) 2.31.0pre20250712_8d6f": {2, 31, 0},
		"nix-instantiate (Lix, like Nix) 2.91.1":       {2, 91, 1},
	} {
		got, err := ParseVersion(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	_, err := ParseVersion("command not found")
	assert.Error(t, err)
}

func TestSafe(t *testing.T) {
	for v, safe := range map[Version]bool{
		{2, 8, 0}: false, {2, 26, 3}: false, {2, 28, 7}: false, {2, 28, 8}: true, {2, 29, 9}: false, {2, 30, 6}: true,
		{2, 34, 8}: false, {2, 35, 3}: true, {2, 36, 0}: true, {3, 0, 0}: true,
	} {
		err := v.Safe()
		assert.Equal(t, safe, err == nil, v.String())
		if err != nil {
			assert.ErrorIs(t, err, ErrUntrusted)
		}
	}
}

// What Nix prints of the same mistakes in its two worlds: 2.8, and 2.2x with traces
// before the message.
func TestFailuresOfBothWorlds(t *testing.T) {
	const root = "/tmp/x/source"
	for _, tc := range []struct {
		name, text string
		want       distro.Failure
	}{
		{"2.8: a missing attribute", "error: attribute 'nothing' missing\n\n       at /tmp/x/source/default.nix:9:13:\n\n            8|   a = 1;\n            9|   missing = { }.nothing;\n             |             ^\n",
			distro.Failure{Reason: distro.FailMissing, Message: "attribute 'nothing' missing", File: "default.nix", Line: 9}},
		{"newer: a missing attribute, after its trace", "error:\n       … while evaluating the attribute 'drvPath'\n         at /nix/store/abc/lib.nix:3:4:\n            2|\n       … from call site\n         at /tmp/x/source/o/default.nix:7:2:\n\n       error: attribute 'nothing' missing\n       at /tmp/x/source/default.nix:9:13:\n            8|\n",
			distro.Failure{Reason: distro.FailMissing, Message: "attribute 'nothing' missing", File: "default.nix", Line: 9}},
		{"2.8: abort", "error: evaluation aborted with the following error message: 'no'\n",
			distro.Failure{Reason: distro.FailAbort, Message: "evaluation aborted with the following error message: 'no'"}},
		{"newer: the call depth", "error: stack overflow; max-call-depth exceeded\n       at /tmp/x/source/a.nix:1:1:\n",
			distro.Failure{Reason: distro.FailRecursion, Message: "stack overflow; max-call-depth exceeded", File: "a.nix", Line: 1}},
		{"colours and what the code traces are left out", "trace: error-free\n\x1b[31;1merror:\x1b[0m infinite recursion encountered\n",
			distro.Failure{Reason: distro.FailRecursion, Message: "infinite recursion encountered"}},
		{"newer: an import from derivation", "error: cannot build '/nix/store/x.drv' during evaluation because the option 'allow-import-from-derivation' is disabled\n",
			distro.Failure{Reason: distro.FailImportFrom, Message: "cannot build '/nix/store/x.drv' during evaluation because the option 'allow-import-from-derivation' is disabled"}},
		{"a throw", "error: hello is broken\n", distro.Failure{Reason: distro.FailThrow, Message: "hello is broken"}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, *newFailure(tc.text, root)) })
	}
}

func FuzzFailure(f *testing.F) {
	f.Add("error: a\n  at /x:1:2:\n", "/x")
	f.Add("error:\n … while\n error: b", "")
	f.Fuzz(func(t *testing.T, text, root string) {
		got := newFailure(text, root)
		if !utf8.ValidString(got.Message) || len(got.Message) > maxMessage+8 || got.Reason == "" {
			t.Fatalf("%+v", got)
		}
		for _, r := range got.Message {
			if r == 0x1b || r < ' ' && r != '\n' && r != '\t' {
				t.Fatalf("control character in %q", got.Message)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"drv":"/nix/store/a.drv","outputs":{"out":"/x"},"meta":{"name":"a"},"suite":{"cases":[{"name":"a","run":"b"}]}}`)
	f.Add(`{"unavailable":{"a":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		v := &evaluator{}
		a := v.decode(Ref{distro.KindSuite, "x"}, []byte(text))
		if a.Failure == nil && a.Suite != nil && suiteProblem(a.Suite) != "" {
			t.Fatalf("%+v", a)
		}
	})
}

func FuzzStringLiteral(f *testing.F) {
	f.Add("\x1b[35;1m\"a\\n\\\"\"\x1b[0m")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := stringLiteral(line); ok && len(s) > len(line) {
			t.Fatal("more came out than went in")
		}
	})
}

func FuzzBuildLog(f *testing.F) {
	f.Add([]byte("@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv' failed with exit code 1\"}\n"))
	f.Add([]byte("@nix {\"action\":\"start\",\"id\":1,\"type\":105,\"fields\":[\"/nix/store/x.drv\"]}\n@nix {\"action\":\"result\",\"id\":1,\"type\":101,\"fields\":[\"line\"]}\n"))
	f.Fuzz(func(t *testing.T, events []byte) {
		l := newBuildLog(Build{})
		if n, err := l.Write(events); n != len(events) || err != nil {
			t.Fatal("a log must take everything")
		}
		l.finish()
		for _, d := range l.drvs {
			if len(d.tail) > tailLines {
				t.Fatal("too many lines are kept")
			}
		}
	})
}

func FuzzArchivedFile(f *testing.F) {
	f.Add(append(append([]byte{}, fileHeader...), 1, 0, 0, 0, 0, 0, 0, 0, 'x'))
	f.Fuzz(func(t *testing.T, archive []byte) {
		if text, err := archivedFile(archive); err == nil && len(text) > len(archive) {
			t.Fatal("more came out than went in")
		}
	})
}

func TestFingerprintSeesEveryTouch(t *testing.T) {
	dir := t.TempDir()
	mark := func() string {
		s, err := Fingerprint(dir)
		require.NoError(t, err)
		return s
	}
	a := mark()
	assert.Equal(t, a, mark())
	require.NoError(t, os.WriteFile(dir+"/new", nil, 0o644))
	b := mark()
	assert.NotEqual(t, a, b, "a file that pathExists would see")
	require.NoError(t, os.WriteFile(dir+"/new", []byte("x"), 0o644))
	c := mark()
	assert.NotEqual(t, b, c)
	require.NoError(t, os.Chmod(dir+"/new", 0o755))
	assert.NotEqual(t, c, mark())
	none, err := Fingerprint(dir + "/not-there")
	require.NoError(t, err)
	assert.Equal(t, "none", none)
}

// What the machine failed at is not the expression's fault, whatever it reads like.
func TestFailuresThatAreOurs(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		ours       bool
	}{
		{"the place for derivations is gone", "error: creating temporary file '/dev/shm/asterbot-drvs-1/nix.x': No such file or directory", true},
		{"the evaluation's own folder is gone", "error: opening file '/tmp/asterbot-eval-1/ask/eval.nix': No such file or directory", true},
		{"the disk is full", "error: writing to file: No space left on device", true},
		{"a file of the checkout is missing", "error: getting status of '/tmp/asterbot-check-1/head/source/a.nix': No such file or directory", false},
		{"a throw that says so", "error: no room: No space left on device in /dev/shm/asterbot-drvs-1/", false},
		{"a missing attribute", "error: attribute 'a' missing", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := ourFailure(tc.text, "/tmp/asterbot-eval-1", "/dev/shm/asterbot-drvs-1")
			assert.Equal(t, tc.ours, err != nil, "%v", err)
		})
	}
}
