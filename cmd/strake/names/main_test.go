package names

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strake.dev/strake/internal/peers"
	"strake.dev/strake/internal/thorough"
)

// patience is how long a call may take at most.
const patience = 2 * time.Minute

// tools are the names that strake has beside its own.
var tools = []string{"ytt", "kapp", "kbld", "vendir"}

// program returns the path of a program, which is built if it must be: “real/ytt”, “ours/ytt” or “ours/strake”.
func program(tb testing.TB, which string) string {
	tb.Helper()
	folder, name := path.Split(which)
	if folder == "real/" {
		return peers.Carvel(tb, name)
	}
	dir, err := ours()
	check(tb, err)
	return filepath.Join(dir, name)
}

// ours is a folder with links to the strake that “make build” makes.
var ours = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("make", "--no-print-directory", "-C", root, "build").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	dir := filepath.Join(root, "bin", "names")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range append(tools, "strake") {
		if err := os.Symlink("../strake", filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	return dir, nil
})

// often leaves out most of the calls that ask for help, of which one is like another.
func often(t *testing.T, line string) {
	t.Helper()
	if strings.Contains(line, "help ") || strings.Contains(line, "--help") {
		thorough.One(t, 4, line)
	}
}

// A call is one way to call a program.
type call struct {
	args []string
	// dir is the folder whose files are compared, and the working directory unless cwd is another one.
	dir, cwd string
	stdin    string
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
	cmd.Dir, cmd.Stdin = cmp.Or(c.cwd, c.dir), strings.NewReader(c.stdin)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir()}, c.env...)
	return cmd
}

// run calls a program, puts the call's folder back into the state before, and returns what was changed there.
func run(t *testing.T, c call, program string, words ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, before := command(ctx, c, program, words...), tree(t, c.dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{Code: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String(), Files: restore(t, c.dir, before)}
}

// both runs a tool and strake by its name on the same input.
func both(t *testing.T, tool string, c call) (want, got result) {
	t.Helper()
	return run(t, c, program(t, "real/"+tool)), run(t, c, program(t, "ours/"+tool))
}

// A file is a file, folder or link: its mode, and its contents or where it leads to.
type file struct {
	mode os.FileMode
	text string
}

func (f file) String() string { return f.mode.String() + "\n" + f.text }

// restore puts a folder back into a state, and returns what was different.
func restore(t *testing.T, dir string, before map[string]file) map[string]string {
	t.Helper()
	changed := map[string]string{}
	for name, f := range tree(t, dir) {
		if before[name] == f {
			continue
		}
		changed[name] = f.String()
		if _, ok := before[name]; !ok {
			check(t, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	left := tree(t, dir)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		f, path := before[name], filepath.Join(dir, name)
		if _, ok := left[name]; !ok {
			changed[name] = "gone"
		}
		switch {
		case left[name] == f:
		case f.mode.IsDir():
			check(t, os.MkdirAll(path, f.mode.Perm()))
			check(t, os.Chmod(path, f.mode.Perm()))
		case f.mode.IsRegular():
			check(t, os.WriteFile(path, []byte(f.text), f.mode.Perm()))
			check(t, os.Chmod(path, f.mode.Perm()))
		default:
			check(t, os.Symlink(f.text, path))
		}
	}
	return changed
}

// tree returns what is in a folder.
func tree(t *testing.T, dir string) map[string]file {
	t.Helper()
	found := map[string]file{}
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f := file{mode: info.Mode()}
		switch {
		case e.Type()&os.ModeSymlink != 0:
			f.text, err = os.Readlink(path)
		case e.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			f.text = string(data)
		}
		rel, _ := filepath.Rel(dir, path)
		found[rel] = f
		return err
	}))
	return found
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
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
		check(tb, os.MkdirAll(filepath.Dir(path), 0o755))
		check(tb, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// link makes a symbolic link, and the folder that it is in.
func link(t *testing.T, to, name string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.Symlink(to, name))
}
