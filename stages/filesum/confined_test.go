//go:build darwin || freebsd || linux || netbsd || openbsd

package filesum

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestNothingOutsideIsRead(t *testing.T) {
	outside := newWorld(t, map[string]string{"secret": "s", "d/secret": "s"})
	w := newWorld(t, map[string]string{"a": "1"})
	w.must(os.Symlink(outside.dir, w.path("folder")), os.Symlink(outside.path("secret"), w.path("file")), os.Symlink("a", w.path("inside")))
	for _, e := range w.scan() {
		if e.Name != "a" && (e.Mode.Type() != fs.ModeSymlink || e.Link == "" || e.Sum != [sha256.Size]byte{}) {
			t.Errorf("%+v", e)
		}
	}
	for _, name := range []string{"folder", "folder/d", ".."} {
		if entries, err := Scan(t.Context(), w.root, name, nil, All); err == nil {
			t.Errorf("%s: %v", name, entries)
		}
	}
	if e, err := Stat(t.Context(), w.root, "folder/secret", nil); err == nil {
		t.Errorf("%v", e)
	}
}

// While a scan runs, a folder and a file turn into links to the outside and back, many times.
func TestRaceDoesNotLeadOutside(t *testing.T) {
	outside := newWorld(t, map[string]string{"d/secret": "secret", "f": "secret"})
	w := newWorld(t, map[string]string{"d/inside": "1", "f": "2"})
	w.must(os.Symlink(outside.path("d"), w.path("link-d")), os.Symlink(outside.path("f"), w.path("link-f")))
	secret := sha256.Sum256([]byte("secret"))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"d", "f"} {
				_ = os.Rename(w.path(name), w.path("old-"+name))
				_ = os.Rename(w.path("link-"+name), w.path(name))
				_ = os.Rename(w.path(name), w.path("link-"+name))
				_ = os.Rename(w.path("old-"+name), w.path(name))
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		// An error is fine: what was a folder is none any more.
		entries, _ := Scan(t.Context(), w.root, ".", nil, All)
		for _, e := range entries {
			if e.Sum == secret || e.Name == "d/secret" {
				t.Fatalf("read outside of the tree: %+v", e)
			}
		}
	}
}

func TestSpecialFilesAreListed(t *testing.T) {
	w := newWorld(t, nil)
	w.must(syscall.Mkfifo(w.path("pipe"), 0o644))
	entries := w.scan()
	if len(entries) != 1 || entries[0].Mode.Type() != fs.ModeNamedPipe {
		t.Errorf("%+v", entries)
	}
}

func TestUnreadableFileIsAnError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("no mode keeps root out")
	}
	w := newWorld(t, map[string]string{"d/a": "1"})
	w.must(os.Chmod(w.path("d/a"), 0))
	_, err := Scan(t.Context(), w.root, ".", nil, All)
	if pathErr, ok := errors.AsType[*fs.PathError](err); !ok || pathErr.Path != "d/a" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}
