package filesum

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A world is a tree of a test's own, and the file of its digests.
type world struct {
	t    *testing.T
	dir  string
	root *os.Root
	file string
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "cache", "sums")}
	for name, text := range files {
		w.write(name, text)
	}
	var err error
	if w.root, err = os.OpenRoot(w.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.root.Close() })
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) must(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.path(name)), 0o755), os.WriteFile(w.path(name), []byte(text), 0o644))
}

// settle waits until what was written may be remembered.
func settle() { time.Sleep(time.Duration(margin) + 50*time.Millisecond) }

// scan scans with what the file remembers, and saves it again.
func (w *world) scan() []Entry {
	w.t.Helper()
	c := Open(w.file)
	entries, err := Scan(w.t.Context(), w.root, ".", c, All)
	w.must(err, c.Save())
	return entries
}

// poison exchanges all remembered digests, so that one which is used shows.
func (w *world) poison() {
	w.t.Helper()
	data, err := os.ReadFile(w.file)
	w.must(err)
	folders, err := decode(data)
	w.must(err)
	for _, records := range folders {
		for i := range records {
			records[i].sum = [sha256.Size]byte{1}
		}
	}
	w.must(os.WriteFile(w.file, encode(folders), 0o600))
}

func remembered(e Entry) bool { return e.Sum == [sha256.Size]byte{1} }

func names(entries []Entry, which func(Entry) bool) []string {
	var list []string
	for _, e := range entries {
		if which(e) {
			list = append(list, e.Name)
		}
	}
	return list
}

// timeless compares entries without what not all systems tell.
var timeless = cmpopts.IgnoreFields(Entry{}, "Modified", "Changed", "Inode")

func TestScanIsAWalk(t *testing.T) {
	t.Parallel() // most of the time is waiting for files to be old enough
	w := newWorld(t, map[string]string{"a/b/c": "1", "a-b/c": "2", "a.b": "3", "a/b.c": "4", "z/y/x": "", "\xff/new\nline": "5"})
	w.must(os.Symlink("../a.b", w.path("z/link")), os.Mkdir(w.path("empty"), 0o700), os.Chmod(w.path("a.b"), 0o755))
	for i := range 1000 {
		w.write(fmt.Sprintf("many/%d", i), strings.Repeat("x", i))
	}
	var want []Entry
	w.must(filepath.WalkDir(w.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == w.dir {
			return err
		}
		name, err = filepath.Rel(w.dir, name)
		w.must(err)
		info, err := d.Info()
		w.must(err)
		e := Entry{Name: name, Mode: info.Mode(), Size: info.Size()}
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(w.path(name))
			w.must(err)
			e.Sum = sha256.Sum256(data)
		case info.Mode()&fs.ModeSymlink != 0:
			e.Link, err = os.Readlink(w.path(name))
			w.must(err)
		}
		want = append(want, e)
		return nil
	}))
	if diff := cmp.Diff(want, w.scan(), timeless); diff != "" {
		t.Errorf("(-walk +scan):\n%s", diff)
	}
	for _, e := range want {
		got, err := Stat(t.Context(), w.root, e.Name, nil)
		if err != nil || !cmp.Equal(e, got, timeless) {
			t.Errorf("%q: %v, %v, expected %v", e.Name, got, err, e)
		}
	}
	below, err := Scan(t.Context(), w.root, "a", nil, All)
	if diff := cmp.Diff([]string{"b", "b/c", "b.c"}, names(below, func(Entry) bool { return true })); diff != "" || err != nil {
		t.Errorf("below a: %s, %v", diff, err)
	}
	plain, err := List(t.Context(), w.root, ".", All)
	if err != nil || len(plain) != len(want) || plain[1].Sum != [sha256.Size]byte{} {
		t.Errorf("list: %d entries, %v", len(plain), err)
	}
}

func TestOnlyWhatChangedIsRead(t *testing.T) {
	t.Parallel()
	files := map[string]string{"same": "1", "d/same": "2", "content": "3", "d/mode": "4", "replaced": "5", "touched": "6", "kind": "7", "d/gone": "8"}
	w := newWorld(t, files)
	settle()
	first := w.scan()
	w.poison()
	isFile := func(e Entry) bool { return e.Mode.IsRegular() }
	if diff := cmp.Diff(names(first, isFile), names(w.scan(), remembered)); diff != "" {
		t.Fatalf("nothing changed, but not everything is remembered (-want +got):\n%s", diff)
	}
	info, err := os.Stat(w.path("content"))
	w.must(err)
	// Of equal size and, by the time that anybody can set, of equal age.
	w.write("content", "x")
	w.must(os.Chtimes(w.path("content"), info.ModTime(), info.ModTime()))
	w.must(os.Chmod(w.path("d/mode"), 0o755))
	w.write("new", "5")
	w.must(os.Rename(w.path("new"), w.path("replaced")))
	w.must(os.Chtimes(w.path("touched"), time.Now(), time.Now().Add(-time.Hour)))
	w.must(os.Remove(w.path("kind")), os.Mkdir(w.path("kind"), 0o755), os.Remove(w.path("d/gone")))
	if diff := cmp.Diff([]string{"d/same", "same"}, names(w.scan(), remembered)); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
}

func TestWhatIsTooFreshIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"old": "1"})
	settle()
	w.write("fresh", "2")
	w.write("future", "3")
	w.must(os.Chtimes(w.path("future"), time.Now(), time.Now().Add(time.Hour)))
	w.scan()
	w.poison()
	if diff := cmp.Diff([]string{"old"}, names(w.scan(), remembered)); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
}

func TestFileIsWrittenOnlyForNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"a": "1", "d/b": "2", "e/f/c": "3"})
	w.scan()
	if _, err := os.Stat(w.file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing to remember, but there is a file: %v", err)
	}
	settle()
	w.scan()
	before, err := os.Stat(w.file)
	w.must(err)
	w.must(os.RemoveAll(w.path("e")))
	w.scan()
	if after, err := os.Stat(w.file); err != nil || !os.SameFile(before, after) {
		t.Errorf("written without news: %v", err)
	}
	w.write("d/new", "4")
	settle()
	w.scan()
	data, err := os.ReadFile(w.file)
	w.must(err)
	folders, err := decode(data)
	w.must(err)
	if len(folders["."]) != 1 || len(folders["d"]) != 2 || folders["e/f"] != nil {
		t.Errorf("remembered: %v", folders)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"a/b/keep": "1", "a/b/drop": "2", "a/drop": "3", "skip/keep": "4", "none/drop": "5", "closed/keep": "6"})
	settle()
	w.scan()
	if os.Geteuid() != 0 { // whom no mode keeps out
		w.must(os.Chmod(w.path("closed"), 0))
		defer func() { w.must(os.Chmod(w.path("closed"), 0o755)) }()
	} else {
		w.must(os.RemoveAll(w.path("closed")))
	}
	only := func(base string) Filter {
		var filter Filter
		filter = func(name string, dir bool) (bool, Filter, error) {
			if dir && name != "skip" {
				return false, filter, nil
			}
			return filepath.Base(name) == base, nil, nil
		}
		return filter
	}
	c := Open(w.file)
	entries, err := Scan(t.Context(), w.root, ".", c, only("keep"))
	w.must(err)
	if diff := cmp.Diff([]string{"a", "a/b", "a/b/keep"}, names(entries, func(Entry) bool { return true })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What a filter leaves out stays remembered.
	w.write("a/b/new", "7")
	settle()
	_, err = Scan(t.Context(), w.root, ".", c, only("new"))
	w.must(err, c.Save())
	w.poison()
	if diff := cmp.Diff([]string{"a/b/drop", "a/b/keep", "a/b/new", "a/drop", "none/drop", "skip/keep"}, names(w.scan(), remembered)); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	refused := errors.New("refused")
	if _, err := Scan(t.Context(), w.root, ".", nil, func(string, bool) (bool, Filter, error) { return false, nil, refused }); !errors.Is(err, refused) {
		t.Errorf("the filter's error: %v", err)
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"src/a": "1", "src/d/b": "2"})
	settle()
	w.scan()
	w.poison()
	c := Open(w.file)
	entries, err := Scan(t.Context(), w.root, "src", c.Below("src"), All)
	w.must(err)
	if diff := cmp.Diff([]string{"a", "d/b"}, names(entries, remembered)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e, err := Stat(t.Context(), w.root, "src/d/b", c); err != nil || !remembered(e) {
		t.Errorf("%v, %v", e, err)
	}
}

func TestDamagedFileIsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"a": "1", "d/b": "2"})
	settle()
	want := w.scan()
	whole, err := os.ReadFile(w.file)
	w.must(err)
	damaged := map[string][]byte{"empty": {}, "foreign": []byte("#!/bin/sh\n"), "other version": []byte(strings.Replace(string(whole), "1\n", "2\n", 1))}
	for i := 0; i < len(whole); i += 5 {
		damaged[fmt.Sprintf("cut at %d", i)] = whole[:i]
		flipped := []byte(string(whole))
		flipped[i] ^= 0x10
		damaged[fmt.Sprintf("changed at %d", i)] = flipped
	}
	for name, data := range damaged {
		w.must(os.WriteFile(w.file, data, 0o600))
		if diff := cmp.Diff(want, w.scan()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", name, diff)
		}
		if after, err := os.ReadFile(w.file); err != nil || string(after) != string(whole) {
			t.Fatalf("%s: is not written anew: %v", name, err)
		}
	}
}

func TestScansSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 300 {
		w.write(fmt.Sprintf("%d/%d/file", i%7, i), fmt.Sprint(i))
	}
	settle()
	want := w.scan()
	w.must(os.Remove(w.file))
	var wg sync.WaitGroup
	shared := Open(w.file)
	for i := range 8 {
		wg.Go(func() {
			c := shared
			if i%2 == 0 { // as another process would
				c = Open(w.file)
			}
			for range 5 {
				got, err := Scan(t.Context(), w.root, ".", c, All)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%v %s", err, diff)
				}
				if err := c.Save(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.poison()
	if got := len(names(w.scan(), remembered)); got != 300 {
		t.Errorf("%d files are remembered, expected 300", got)
	}
}

func TestScanEndsWithContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"a": "1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, w.root, ".", nil, All); !errors.Is(err, context.Canceled) {
		t.Errorf("scan: %v", err)
	}
	if _, err := Stat(ctx, w.root, "a", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stat: %v", err)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"a": "1"})
	for _, name := range []string{"nope", "nope/a"} {
		if _, err := Stat(t.Context(), w.root, name, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat of %s: %v", name, err)
		}
		if _, err := Scan(t.Context(), w.root, name, nil, All); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("scan of %s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(nil))
	f.Add(encode(map[string][]record{".": {{name: "a", stamp: stamp{1, 2, 3, 4, 5, true}}, {name: "b"}}, "d/e": {{name: "c"}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The sum only keeps out accidents; behind it anything may stand.
		for _, data := range [][]byte{data, seal(append([]byte(header+"...."), data...))} {
			folders, err := decode(data)
			if err != nil {
				continue
			}
			again, err := decode(encode(folders))
			if err != nil {
				t.Fatal(err)
			}
			for dir, records := range folders {
				if len(records) > 0 && len(again[dir]) != len(records) {
					t.Errorf("%q: %v became %v", dir, records, again[dir])
				}
			}
		}
	})
}
