package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/moby/sys/atomicwriter"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/filesum"
)

// The parts of a workspace. A step writes to an area below tmp, which is moved to its place once the
// step has succeeded, so that what stands in sources and steps is always whole.
const (
	sourcesDir   = "sources"
	stepsDir     = "steps"
	tmpDir       = "tmp"
	cacheDir     = "cache"
	recordFile   = "run.json"
	lockFileName = "lock"
	sumsFile     = "sources.sums"
	manifestFile = "manifests.yaml"
)

// A workspace is the folder that the steps of a run share. It is kept between runs, so that what has
// not changed need not be done again.
type workspace struct {
	tree *stages.Tree
	lock *flock.Flock
	// temp is the absolute path of the folder that is cleared before and after each run.
	temp string
	// cache is the absolute path of the folder for what only makes steps faster.
	cache string
	// sums are the digests of the sources' files.
	sums *filesum.Cache
}

// openWorkspace makes the folder if need be, waits until no other run uses it, and clears what an
// interrupted run has left. waiting is called once if it has to wait.
func openWorkspace(ctx context.Context, dir string, waiting func()) (*workspace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockFileName), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	if !held {
		waiting()
		const poll = 200 * time.Millisecond
		if _, err := lock.TryLockContext(ctx, poll); err != nil {
			return nil, &BusyError{Workspace: dir}
		}
	}
	tree, err := stages.OpenTree(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("workspace: %w", err), lock.Unlock())
	}
	ws := &workspace{tree: tree, lock: lock}
	abs, err := filepath.Abs(dir)
	if err == nil {
		ws.temp, ws.cache = filepath.Join(abs, tmpDir), filepath.Join(abs, cacheDir)
		ws.sums = filesum.Open(filepath.Join(ws.cache, sumsFile))
		err = ws.prepare()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("workspace: %w", err), ws.Close())
	}
	return ws, nil
}

func (w *workspace) prepare() error {
	root := w.tree.Root()
	if err := root.RemoveAll(tmpDir); err != nil {
		return err
	}
	for _, dir := range []string{sourcesDir, stepsDir, tmpDir, cacheDir} {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Close lets other runs use the workspace.
func (w *workspace) Close() error {
	// Without it the next run is only slower.
	_ = w.sums.Save()
	err := w.tree.Root().RemoveAll(tmpDir)
	return errors.Join(err, w.tree.Close(), w.lock.Unlock())
}

// open opens a folder of the workspace.
func (w *workspace) open(name string) (*stages.Tree, error) {
	return stages.OpenTree(filepath.Join(w.tree.Dir(), filepath.FromSlash(name)))
}

// stage makes the empty area that a step writes to.
func (w *workspace) stage(step string) (*stages.Tree, error) {
	name := path.Join(tmpDir, step)
	if err := w.tree.Root().RemoveAll(name); err != nil {
		return nil, err
	}
	if err := w.tree.Root().Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	return w.open(name)
}

// commit moves a step's area to its place, in the stead of what was there.
func (w *workspace) commit(step, place string) error {
	root := w.tree.Root()
	if err := root.MkdirAll(path.Dir(place), 0o700); err != nil {
		return err
	}
	if err := root.RemoveAll(place); err != nil {
		return err
	}
	return root.Rename(path.Join(tmpDir, step), place)
}

// place is where a step's area stands once it is committed.
func place(s Step) string {
	if s.Stage == stages.Fetch {
		return path.Join(sourcesDir, s.Folder)
	}
	return path.Join(stepsDir, s.Name)
}

// keepSources makes sure that the App's folder holds nothing but what the plan's fetch steps make:
// a source that is no longer in the file must not be read by a step that takes the whole folder.
func (w *workspace) keepSources(before, now []string) error {
	if strings.Join(before, "\n") == strings.Join(now, "\n") {
		return nil
	}
	if err := w.tree.Root().RemoveAll(sourcesDir); err != nil {
		return err
	}
	return w.tree.Root().Mkdir(sourcesDir, 0o700)
}

// readRecord returns the record of the last run; an empty one when there is none or it can't be
// read, because then nothing may be taken over from that run.
func (w *workspace) readRecord() *Record {
	var r Record
	data, err := fs.ReadFile(w.tree.Root().FS(), recordFile)
	if err != nil || json.Unmarshal(data, &r) != nil || r.Format != recordFormat {
		return &Record{}
	}
	return &r
}

func (w *workspace) writeRecord(r *Record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicwriter.WriteFile(filepath.Join(w.tree.Dir(), recordFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("run record: %w", err)
	}
	return nil
}
