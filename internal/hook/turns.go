package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"

	"strake.dev/strake/stages"
)

// Turns let the processes of one container build in turn. They hold locks of the file system, which end
// with the process, however it ends. The files are empty, and as many as there can be.
type Turns struct {
	dir    string
	builds int
}

// poll is how often a lock that another process has is tried.
const poll = 100 * time.Millisecond

// NewTurns returns turns of at most so many builds at once.
func NewTurns(builds int, getenv func(string) string) (*Turns, error) {
	var failed []error
	for _, dir := range stateFolders(getenv) {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			return &Turns{dir: dir, builds: builds}, nil
		}
		failed = append(failed, err)
	}
	return nil, stages.WithHint(fmt.Errorf("there is no place for the hook's locks: %w", errors.Join(failed...)), "let HOME or TMPDIR be a folder that can be written to")
}

// stateFolders are where locks may lie, the best place first.
func stateFolders(getenv func(string) string) []string {
	var dirs []string
	if file, err := KeyFile(getenv); err == nil {
		dirs = append(dirs, filepath.Join(filepath.Dir(file), "locks"))
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		dirs = append(dirs, filepath.Join(home, stateFolder, "locks"))
	}
	return append(dirs, filepath.Join(os.TempDir(), fmt.Sprintf("strake-hook-%d", os.Getuid()), "locks"))
}

// Same waits until no other process builds the input of a digest, in hex. The caller calls done.
func (t *Turns) Same(ctx context.Context, digest string) (done func(), err error) {
	// Few digests share a lock, and those that do only wait for each other.
	const digits = 3
	return t.wait(ctx, "input-"+digest[:min(digits, len(digest))])
}

// Build waits until there is room for one more build. The caller calls done.
func (t *Turns) Build(ctx context.Context) (done func(), err error) {
	names := make([]string, t.builds)
	for i := range names {
		names[i] = "build-" + strconv.Itoa(i)
	}
	return t.wait(ctx, names...)
}

// wait takes the first of the locks that is free.
func (t *Turns) wait(ctx context.Context, names ...string) (func(), error) {
	for {
		for _, name := range names {
			lock := flock.New(filepath.Join(t.dir, name), flock.SetPermissions(0o600))
			ok, err := lock.TryLock()
			if err != nil {
				return nil, fmt.Errorf("lock of the hook: %w", err)
			}
			if ok {
				return func() { _ = lock.Close() }, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}
