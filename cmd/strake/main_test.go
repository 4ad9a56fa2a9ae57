package main

import (
	"errors"
	"flag"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the scripts print into them")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strake": main})
}

// TestScripts runs sessions with the whole program and without any server. The end-to-end tests have
// those that need some.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			examples, err := filepath.Abs("../../examples")
			if err != nil {
				return err
			}
			env.Setenv("EXAMPLES", examples)
			for k, v := range map[string]string{
				"XDG_CACHE_HOME": filepath.Join(env.WorkDir, ".cache"),
				"HOME":           filepath.Join(env.WorkDir, ".home"),
				"KUBECONFIG":     filepath.Join(env.WorkDir, "no-kubeconfig"),
			} {
				env.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"nothing": nothing,
		},
	})
}

// exits runs a command and checks its exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, expected %d", code, want)
	}
}

// nothing checks that a refused command has left no lock file and no workspace.
func nothing(ts *testscript.TestScript, _ bool, _ []string) {
	locks, err := filepath.Glob(ts.MkAbs("*.lock.yaml"))
	ts.Check(err)
	workspaces, err := filepath.Glob(ts.MkAbs(".cache/strake/workspaces/*"))
	ts.Check(err)
	for _, left := range append(locks, workspaces...) {
		ts.Fatalf("left behind: %s", left)
	}
}
