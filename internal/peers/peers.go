// Package peers runs the command line tools that plugins are compared with in tests. They are built
// from their own modules, which cli/go.mod lists, so that strake's module doesn't depend on them.
package peers

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// packages are those of the tools.
var packages = map[string]string{
	"cue":       "cuelang.org/go/cmd/cue",
	"helm":      "helm.sh/helm/v4/cmd/helm",
	"kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
	"sops":      "github.com/getsops/sops/v3/cmd/sops",
}

// Tool returns the path of a tool, such as helm. It is built if that hasn't been done for its version:
// into the user's cache folder, because to link one takes longer than the tests.
func Tool(t testing.TB, name string) string {
	t.Helper()
	return built(t, fromRoot(t, "internal/peers/cli"), name, packages[name])
}

// carvel are the variables that hold the versions of Carvel's tools.
var carvel = map[string]string{
	"ytt":    "carvel.dev/ytt/pkg/version.Version",
	"kapp":   "carvel.dev/kapp/pkg/kapp/version.Version",
	"kbld":   "carvel.dev/kbld/pkg/kbld/version.Version",
	"vendir": "carvel.dev/vendir/pkg/vendir/version.Version",
}

// Carvel is [Tool] for a tool of Carvel, of the version that strake embeds and stamped with it as its authors do.
func Carvel(t testing.TB, name string) string {
	t.Helper()
	file := fromRoot(t, "go.mod")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"-s", "-w"}
	for _, required := range regexp.MustCompile(`(?m)^\s*carvel\.dev/(\w+) v(\S+)`).FindAllStringSubmatch(string(text), -1) {
		if variable, ok := carvel[required[1]]; ok {
			flags = append(flags, "-X", variable+"="+required[2])
		}
	}
	return built(t, filepath.Dir(file), name, "-ldflags", strings.Join(flags, " "), "carvel.dev/"+name+"/cmd/"+name)
}

// built builds a package of a module's dependencies, with go build's arguments, unless it is there.
func built(t testing.TB, module, name string, args ...string) string {
	t.Helper()
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(sums, "%q", args))
	dir := filepath.Join(cache, "strake", "peers", fmt.Sprintf("%s-%x", runtime.Version(), sum)[:24])
	tool := filepath.Join(dir, name)
	if runtime.GOOS == "windows" {
		tool += ".exe"
	}
	if _, err := os.Stat(tool); err == nil {
		return tool
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Tests of several packages may be at it: each moves a whole file to its place.
	made := fmt.Sprintf("%s.%d", tool, os.Getpid())
	c := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", made}, args...)...)
	c.Dir = module
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOWORK=off")
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, said)
	}
	if err := os.Rename(made, tool); err != nil {
		t.Fatal(err)
	}
	return tool
}

// fromRoot returns a path of the module.
func fromRoot(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
		if filepath.Dir(dir) == dir {
			t.Fatalf("%s: not found above the test's folder", name)
		}
		dir = filepath.Dir(dir)
	}
}

// Run runs a tool in a folder and returns its standard output, or what it said as an error.
func Run(t testing.TB, dir, stdin string, env []string, tool string, args ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), tool, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	c.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
		return "", errors.New(strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}
