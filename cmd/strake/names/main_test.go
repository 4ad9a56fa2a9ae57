package names

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a call may take at most.
const patience = 2 * time.Minute

// modules are where the programs and their versions come from.
var modules = map[string]struct{ version, main string }{
	"ytt":    {"carvel.dev/ytt/pkg/version.Version", "carvel.dev/ytt/cmd/ytt"},
	"kapp":   {"carvel.dev/kapp/pkg/kapp/version.Version", "carvel.dev/kapp/cmd/kapp"},
	"kbld":   {"carvel.dev/kbld/pkg/kbld/version.Version", "carvel.dev/kbld/cmd/kbld"},
	"vendir": {"carvel.dev/vendir/pkg/vendir/version.Version", "carvel.dev/vendir/cmd/vendir"},
}

// bin is the folder of the programs that were built: strake, with links by its other names in “ours”,
// and the real ones in “real”.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = os.MkdirTemp("", "strake-names-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

var builds sync.Map

// program returns the path of a program, which is built at the first call: “real/ytt”, “ours/ytt” or
// “ours/strake”.
func program(tb testing.TB, which string) string {
	tb.Helper()
	folder, name := filepath.Split(which)
	if folder == "ours/" {
		name = "strake"
	}
	build, _ := builds.LoadOrStore(folder+name, sync.OnceValue(func() error { return build(folder, name) }))
	if err := build.(func() error)(); err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(bin, which)
}

// build builds a program as “make build” and its authors do, with the versions that strake embeds.
func build(folder, name string) error {
	pkg, flags := modules[name].main, "-s -w"
	for name, m := range modules {
		flags += " -X " + m.version + "=" + version(name)
	}
	if name == "strake" {
		pkg = "strake.dev/strake/cmd/strake"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(bin, folder, name), pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	if name != "strake" {
		return nil
	}
	for link := range modules {
		if err := os.Symlink("strake", filepath.Join(bin, folder, link)); err != nil {
			return err
		}
	}
	return nil
}

// version is that of a tool's module, as its authors stamp it.
func version(tool string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if dep.Path == "carvel.dev/"+tool {
			return strings.TrimPrefix(dep.Version, "v")
		}
	}
	return "0.0.0"
}

// A call is one way to call a program.
type call struct {
	args []string
	// dir is the working directory, whose files are compared.
	dir   string
	stdin string
	// env is added to a small environment.
	env []string
}

// A result is what a call has led to.
type result struct {
	Code           int
	Stdout, Stderr string
	// Files are what the call has written, with their modes.
	Files map[string]string
}

// command prepares a call of a program, which may have words before the arguments.
func command(ctx context.Context, c call, program string, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, append(words, c.args...)...)
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(c.stdin)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir()}, c.env...)
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
			if err := os.RemoveAll(filepath.Join(cmd.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// both runs a tool and strake by its name on the same input.
func both(t *testing.T, tool string, c call) (want, got result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	want = run(t, command(ctx, c, program(t, "real/"+tool)))
	got = run(t, command(ctx, c, program(t, "ours/"+tool)))
	return want, got
}

// tree returns what is in a folder: modes, and contents of files and links.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		var text string
		switch {
		case e.Type()&os.ModeSymlink != 0:
			text, err = os.Readlink(path)
		case e.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			text = string(data)
		}
		rel, _ := filepath.Rel(dir, path)
		found[rel] = info.Mode().String() + "\n" + text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// folder makes a folder with files.
func folder(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir, err := filepath.EvalSymlinks(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// link makes a symbolic link, and the folder that it is in.
func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}
