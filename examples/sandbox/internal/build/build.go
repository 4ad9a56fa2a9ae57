// Package build compiles the programs that the sandbox runs, and keeps them.
//
// A build stands in a folder named after the digest of all it was made from, so another checkout
// with the same module files finds it and builds nothing.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"strake.dev/strake/examples/sandbox/internal/instance"
)

// A Builder makes programs of modules.
type Builder struct {
	Source string // folder with one folder per module
	Cache  string // folder that builds are kept in
	// Building is called before a module is compiled, which may take minutes.
	Building func(Module)
}

// CacheDir is the folder that builds and images are kept in, for all instances.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "strake", "sandbox"), nil
}

// Build returns the folder that holds the module's programs, making it if it isn't there. Calls for
// one module wait for each other, also in other processes.
func (b *Builder) Build(ctx context.Context, m Module) (string, error) {
	key, err := b.key(ctx, m)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", m.Name, err)
	}
	dir := filepath.Join(b.Cache, "bin", m.Name+"-"+key)
	if touch(dir) == nil {
		return dir, nil
	}
	release, err := instance.LockFile(ctx, filepath.Join(b.Cache, "bin", m.Name+".lock"), func() {})
	if err != nil {
		return "", err
	}
	defer release()
	if touch(dir) == nil {
		return dir, nil
	}
	b.Building(m)
	if err := b.compile(ctx, m, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", m.Name, err)
	}
	return dir, b.prune(m, dir)
}

// compile builds into a folder beside dir, and gives it its name only when it is complete.
func (b *Builder) compile(ctx context.Context, m Module, dir string) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".building-"+m.Name+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	args := []string{"build", "-trimpath", "-buildvcs=false", "-tags", m.Tags, "-ldflags", m.ldflags(), "-o", tmp + string(filepath.Separator)}
	var output bytes.Buffer
	cmd := b.goCommand(ctx, m, append(args, m.Packages...)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(output.String()))
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// goCommand runs go in the module's folder. Workspaces and flags of the user are for other modules
// than these.
func (b *Builder) goCommand(ctx context.Context, m Module, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(b.Source, m.Name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	// The compilers that go starts get the chance to end too.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// key is the digest of all that the module's programs are made from.
func (b *Builder) key(ctx context.Context, m Module) (string, error) {
	toolchain, err := b.goCommand(ctx, m, "env", "-json", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	recipe, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n", toolchain, recipe, m.ldflags())

	// Names are sorted, and sources are all in the module's one folder.
	entries, err := os.ReadDir(filepath.Join(b.Source, m.Name))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name != "go.mod" && name != "go.sum" && (filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go")) {
			continue
		}
		if err := digestFile(h, filepath.Join(b.Source, m.Name, name)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func digestFile(h io.Writer, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(h, "%s %d\n%s", filepath.Base(path), len(data), data)
	return err
}

// touch marks a build as used now. It fails if there is none.
func touch(dir string) error {
	now := time.Now()
	return os.Chtimes(dir, now, now)
}

// keepUnused is how long a build stays that no call asks for.
const keepUnused = 30 * 24 * time.Hour

// prune removes builds of the module that have not been used for long, other than keep.
func (b *Builder) prune(m Module, keep string) error {
	builds, err := filepath.Glob(filepath.Join(b.Cache, "bin", m.Name+"-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range builds {
		info, err := os.Stat(dir)
		if err == nil && dir != keep && time.Since(info.ModTime()) > keepUnused {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
