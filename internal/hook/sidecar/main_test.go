package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/cmd/strake/cli"
	"strake.dev/strake/plugins"
)

// The test's own program is strake when it is called by one of its names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "strake", "ytt", "kbld":
		os.Exit(cli.Main(cli.Program{Plugins: plugins.Builtin}))
	}
	os.Exit(m.Run())
}

const patience = 3 * time.Minute

// A container is what the processes of a sidecar have in common.
type container struct {
	t *testing.T
	// mem is where work folders are, home the user's folder.
	mem, home string
	env       []string
	works     int
}

func newContainer(t *testing.T, env ...string) *container {
	t.Helper()
	// A path of links would not be the one that tests compare with.
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &container{t: t, mem: filepath.Join(dir, "mem"), home: filepath.Join(dir, "home")}
	for _, d := range []string{c.mem, c.home} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.env = append([]string{"HOME=" + c.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}, env...)
	return c
}

// work makes a work folder with the files of an App; their names begin with that of a fetch entry.
func (c *container) work(files map[string]string) string {
	c.t.Helper()
	c.works++
	dir := filepath.Join(c.mem, fmt.Sprintf("kapp-controller-fetch-template-deploy%d%d", os.Getpid(), c.works))
	put(c.t, dir, files)
	return dir
}

func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(to, file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type result struct {
	code           int
	stdout, stderr string
}

// command is a call of a tool, in a process group that the caller can end.
func (c *container) command(ctx context.Context, stdin string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir, cmd.Env, cmd.Stdin = "/", c.env, strings.NewReader(stdin)
	return cmd
}

func (c *container) call(stdin string, args ...string) result {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	cmd := c.command(ctx, stdin, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		c.t.Error(err)
		return result{code: -1}
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// reconcile renders paths of a work folder and builds what comes of it.
func (c *container) reconcile(work string, paths ...string) result {
	args := []string{"ytt"}
	for _, p := range paths {
		args = append(args, "-f", filepath.Join(work, p))
	}
	rendered := c.call("", args...)
	if rendered.code != 0 {
		c.t.Errorf("ytt: %s", rendered.stderr)
		return rendered
	}
	return c.call(rendered.stdout, "kbld", "-f", "-", "--build=false")
}

func tags(t *testing.T, repo string) []string {
	t.Helper()
	r, err := name.NewRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	list, err := remote.List(r)
	if err != nil {
		return nil
	}
	slices.Sort(list)
	return list
}

const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: a, image: app}]}}}\n"

// build is a Config with one source, and options for it.
func build(repo, path, options string) string {
	return "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsources:\n- image: app\n  path: " + path + "\n" + options +
		"destinations:\n- {image: app, newImage: " + repo + "}\n"
}
