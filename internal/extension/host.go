package extension

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"strake.dev/strake/internal/confine"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Prefix begins the names of executables that are plugins.
const Prefix = "strake-plugin-"

// The modes of confinement.
const (
	// Auto confines executables as far as the machine can, and warns of what it can't.
	Auto = "auto"
	// Required refuses to run them where the machine can't confine them wholly.
	Required = "required"
)

// A Host finds and runs executables. Each is read once, so that all steps of a run have the same.
type Host struct {
	// Allowed are the plugins' names, and the paths of executables, that may be run.
	Allowed []string
	// Required is the mode [Required] of confinement.
	Required bool

	mu       sync.Mutex
	programs map[string]*confine.Program
	warned   map[string]bool
}

// Locate finds an executable; dir is the folder of the App's file. A plugin's name is looked for in the folders of
// PATH that are absolute: in others it would depend on where strake is called.
func (r Ref) Locate(dir string) (string, error) {
	if r.Path != "" {
		path := r.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return filepath.Abs(path)
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if !filepath.IsAbs(folder) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(folder, Prefix+r.Plugin)); err == nil {
			return path, nil
		}
	}
	return "", stages.WithHint(fmt.Errorf("plugin %s: no executable %s%s on PATH", r.Plugin, Prefix, r.Plugin),
		"install it, or name the file: “path: ./%s%s”", Prefix, r.Plugin)
}

// Files are the paths whose change makes it another executable: where it is found, and what a link there leads to.
// There are none where it isn't found on PATH.
func (r Ref) Files(dir string) []string {
	path, err := r.Locate(dir)
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		return []string{path, real}
	}
	return []string{path}
}

// Allow refuses an executable that the user hasn't allowed.
func (h *Host) Allow(r Ref, dir string) error {
	if r.Plugin != "" && slices.Contains(h.Allowed, r.Plugin) {
		return nil
	}
	path, err := r.Locate(dir)
	if err != nil {
		return err
	}
	for _, a := range h.Allowed {
		if !strings.ContainsRune(a, filepath.Separator) {
			continue
		}
		if abs, err := filepath.Abs(a); err == nil && samePath(abs, path) {
			return nil
		}
	}
	return stages.WithHint(&stages.RefusedError{Reasons: []string{fmt.Sprintf("plugin %s is an executable (%s), and not allowed to run", r, path)}},
		"if you trust it, allow it: --allow-plugin %s (STRAKE_ALLOW_PLUGINS)", h.argument(r, path))
}

// argument is what allows an executable.
func (h *Host) argument(r Ref, path string) string {
	if r.Plugin != "" {
		return r.Plugin
	}
	return path
}

func samePath(a, b string) bool {
	if a == b {
		return true
	}
	a, errA := filepath.EvalSymlinks(a)
	b, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && a == b
}

// Open reads an executable, or returns what it was when it was first read.
func (h *Host) Open(r Ref, dir string) (*confine.Program, error) {
	path, err := r.Locate(dir)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.programs[path]; ok {
		return p, nil
	}
	p, err := confine.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, stages.WithHint(fmt.Errorf("plugin %s: %s: no such file", r, path), "a path counts from the folder of the App's file")
	case err != nil:
		return nil, fmt.Errorf("plugin %s: %w", r, err)
	}
	if h.programs == nil {
		h.programs = map[string]*confine.Program{}
	}
	h.programs[path] = p
	return p, nil
}

// Pin reads an executable without running it, and compares it with the lock.
func (h *Host) Pin(r Ref, job *stages.Job) ([]schema.LockedPlugin, error) {
	p, err := h.Open(r, job.Dir)
	if err != nil {
		return nil, err
	}
	pin := schema.LockedPlugin{Name: r.String(), Digest: p.Digest}
	if job.Lock == nil {
		return []schema.LockedPlugin{pin}, nil
	}
	return []schema.LockedPlugin{pin}, job.Lock.CheckPlugin(pin)
}

// admit returns an executable that may be run: it is allowed, and the one that the lock has.
func (h *Host) admit(r Ref, job *stages.Job) (*confine.Program, error) {
	if err := h.Allow(r, job.Dir); err != nil {
		return nil, err
	}
	if _, err := h.Pin(r, job); err != nil {
		return nil, err
	}
	return h.Open(r, job.Dir)
}

// warn tells once what an executable isn't confined by.
func (h *Host) warn(r Ref, gaps []string, job *stages.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(gaps) == 0 || h.warned[r.String()] {
		return
	}
	if h.warned == nil {
		h.warned = map[string]bool{}
	}
	h.warned[r.String()] = true
	stages.Warn(job.Events, fmt.Sprintf("plugin %s is not wholly confined on this machine: %s (--plugin-sandbox required makes this an error)", r, strings.Join(gaps, "; ")))
}
