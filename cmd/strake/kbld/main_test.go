package kbld_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kbldversion "carvel.dev/kbld/pkg/kbld/version"

	"strake.dev/strake/cmd/strake/cli"
	"strake.dev/strake/internal/peers"
	"strake.dev/strake/plugins"
)

// version is what both programs believe to be.
const version = "0.46.0"

// The test's own program is strake when it is called as kbld or strake.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "kbld", "kbld.exe", "strake":
		kbldversion.Version = version
		os.Exit(cli.Main(cli.Program{Plugins: plugins.Builtin}))
	}
	os.Exit(m.Run())
}

// A call is one way to call a kbld.
type call struct {
	args  []string
	dir   string
	stdin string
	env   []string
}

// A result is what a call has led to.
type result struct {
	Code           int
	Stdout, Stderr string
	// Files are what the call has written, with their modes.
	Files map[string]string
}

// ours is the command that calls strake as kbld.
func ours(ctx context.Context, c call) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, c.args...)
	cmd.Args[0] = "/somewhere/kbld"
	return prepare(cmd, c)
}

func prepare(cmd *exec.Cmd, c call) *exec.Cmd {
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(c.stdin)
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "DOCKER_CONFIG="+filepath.Join(c.dir, "no-docker"), "XDG_CACHE_HOME="+filepath.Join(c.dir, ".cache"))
	cmd.Env = append(cmd.Env, c.env...)
	return cmd
}

// run runs a command, and takes the files that it has written out of its folder.
func run(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	before := tree(t, cmd.Dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String(), Files: map[string]string{}}
	for name, text := range tree(t, cmd.Dir) {
		if before[name] != text {
			r.Files[name] = text
			if err := os.Remove(filepath.Join(cmd.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// tree returns the files of a folder: their modes and contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(path, string(filepath.Separator)+".") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = info.Mode().String() + "\n" + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// patience is how long a call may take at most.
const patience = time.Minute

// both runs kbld and strake on the same input.
func both(t *testing.T, c call) (want, got result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	want = run(t, prepare(exec.CommandContext(ctx, peers.Carvel(t, "kbld"), c.args...), c))
	got = run(t, ours(ctx, c))
	return want, got
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	return dir
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func interrupt(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}
