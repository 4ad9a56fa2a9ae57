package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	hello       = "hello\n"
	helloDigest = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
)

func write(text string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.WriteString(text)
		return err
	}
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, part := range []string{blobsDir, notesDir, tempDir} {
		entries, err := os.ReadDir(filepath.Join(dir, part))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, part+"/"+e.Name())
		}
	}
	return names
}

func TestFillDownloadsOnce(t *testing.T) {
	dir := t.TempDir()
	var downloads atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			// Each has a store of its own, as another process would.
			f, err := Open(dir, 0).Fill(t.Context(), helloDigest, func(f *os.File) error {
				downloads.Add(1)
				time.Sleep(30 * time.Millisecond)
				return write(hello)(f)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if got := content(t, f); got != hello {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	if n := downloads.Load(); n != 1 {
		t.Errorf("%d downloads", n)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("left %v", got)
	}
}

func TestFillRefusesOtherContent(t *testing.T) {
	for name, s := range map[string]*Store{"kept": Open(t.TempDir(), 0), "nil": nil} {
		_, err := s.Fill(t.Context(), helloDigest, write("other"))
		if mismatch, ok := errors.AsType[*MismatchError](err); !ok || mismatch.Want != helloDigest {
			t.Errorf("%s: %v", name, err)
		}
		if s != nil && len(files(t, s.Path())) != 0 {
			t.Errorf("left %v", files(t, s.Path()))
		}
	}
}

func TestDownloadFails(t *testing.T) {
	s, failed := Open(t.TempDir(), 0), errors.New("cut off")
	_, err := s.Fill(t.Context(), helloDigest, func(f *os.File) error { return errors.Join(write("hel")(f), failed) })
	if !errors.Is(err, failed) || len(files(t, s.Path())) != 0 {
		t.Errorf("%v, left %v", err, files(t, s.Path()))
	}
	f, err := s.Fill(t.Context(), helloDigest, write(hello))
	if err != nil || content(t, f) != hello {
		t.Errorf("then %v", err)
	}
}

func TestTornFileIsDownloadedAgain(t *testing.T) {
	s := Open(t.TempDir(), 0)
	f, digest, err := s.Add(t.Context(), write(hello))
	if err != nil || digest != helloDigest {
		t.Fatal(digest, err)
	}
	f.Close()
	place := filepath.Join(s.Path(), blobsDir, strings.TrimPrefix(digest, algorithm))
	for _, torn := range []string{"", "hell", "hellO\n"} {
		if err := os.WriteFile(place, []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := s.Blob(t.Context(), digest); f != nil || err != nil {
			t.Errorf("%q was taken: %v", torn, err)
		}
		f, err := s.Fill(t.Context(), digest, write(hello))
		if err != nil || content(t, f) != hello {
			t.Errorf("%q: %v", torn, err)
		}
	}
}

func TestInvalidDigest(t *testing.T) {
	s := Open(t.TempDir(), 0)
	for _, digest := range []string{"", "sha256:", "md5:" + helloDigest[7:], helloDigest[7:], "sha256:../../../etc/passwd", strings.ToUpper(helloDigest)} {
		if _, err := s.Fill(t.Context(), digest, write(hello)); err == nil || !strings.Contains(err.Error(), "not a digest") {
			t.Errorf("%q: %v", digest, err)
		}
	}
}

func TestNoStore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var s *Store
	f, digest, err := s.Add(t.Context(), write(hello))
	if err != nil || digest != helloDigest || content(t, f) != hello {
		t.Errorf("%s, %v", digest, err)
	}
	f, err = s.Fill(t.Context(), helloDigest, write(hello))
	if err != nil || content(t, f) != hello {
		t.Error(err)
	}
	s.SetNote("x", "y", 1)
	if s.Note("x", "y", new(int)) {
		t.Error("a note was kept nowhere")
	}
	if err := s.Trim(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestNotes(t *testing.T) {
	s := Open(t.TempDir(), 0)
	var got map[string]string
	if s.Note("etag", "https://me:secret@host/a", &got) {
		t.Error("found what was not noted")
	}
	s.SetNote("etag", "https://me:secret@host/a", map[string]string{"etag": "1"})
	if !s.Note("etag", "https://me:secret@host/a", &got) || got["etag"] != "1" || s.Note("etag", "https://host/a", &got) {
		t.Errorf("got %v", got)
	}
	err := filepath.WalkDir(s.Path(), func(path string, e os.DirEntry, err error) error {
		if text, _ := os.ReadFile(path); strings.Contains(path, "secret") || strings.Contains(string(text), "secret") {
			t.Errorf("%s shows the key", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTrim(t *testing.T) {
	s := Open(t.TempDir(), 1000)
	begin := time.Now().Add(-48 * time.Hour)
	for i := range 8 {
		f, digest, err := s.Add(t.Context(), write(strings.Repeat(fmt.Sprint(i), 200)))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		used := begin.Add(time.Duration(i) * time.Hour)
		if i == 0 {
			used = time.Now() // the first one was used again
		}
		if err := os.Chtimes(filepath.Join(s.Path(), blobsDir, strings.TrimPrefix(digest, algorithm)), used, used); err != nil {
			t.Fatal(err)
		}
	}
	held, err := s.Dir(t.Context(), "git", "held", Shared)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	free, err := s.Dir(t.Context(), "git", "free", Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Dir{held, free} {
		if err := os.WriteFile(filepath.Join(d.Path, "pack"), make([]byte, 300), 0o600); err != nil {
			t.Fatal(err)
		}
		old := begin.Add(-time.Hour)
		if err := os.Chtimes(d.Path+lockSuffix, old, old); err != nil {
			t.Fatal(err)
		}
	}
	free.Close()
	if err := s.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := s.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	total := int64(0)
	for _, e := range entries {
		total += e.Size
		names = append(names, e.Kind)
	}
	if got := strings.Join(names, " "); got != "blob blob blob git" || total > 1000 {
		t.Errorf("left %s with %d bytes: expected the three used last, and the folder in use", got, total)
	}
	if f, err := s.Fill(t.Context(), entries[0].digest(), func(*os.File) error { return errors.New("was removed") }); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

func (e *Entry) digest() string { return algorithm + e.Name }

func TestSweep(t *testing.T) {
	s := Open(t.TempDir(), 0)
	f, _, err := s.Add(t.Context(), write(hello))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for name, age := range map[string]time.Duration{"tmp/strake-download-1": 25 * time.Hour, "tmp/strake-download-2": time.Hour, "blobs/x.lock": 25 * time.Hour, "notes/old": 61 * 24 * time.Hour, "notes/new": 25 * time.Hour} {
		if err := os.MkdirAll(filepath.Join(s.Path(), notesDir), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(s.Path(), name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Prune(t.Context(), DefaultLimit); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(files(t, s.Path()), " "); got != "blobs/"+strings.TrimPrefix(helloDigest, algorithm)+" notes/new tmp/strake-download-2" {
		t.Errorf("left %s", got)
	}
}

func TestDirExcludesOtherProcesses(t *testing.T) {
	if dir := os.Getenv("STRAKE_TEST_CACHE"); dir != "" {
		d, err := Open(dir, 0).Dir(t.Context(), "git", "key", Exclusive)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run", "^TestDirExcludesOtherProcesses$")
	other.Env = append(os.Environ(), "STRAKE_TEST_CACHE="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("held"))); err != nil {
		t.Fatal(err)
	}
	s := Open(dir, 0)
	for _, mode := range []Mode{Shared, Exclusive} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := s.Dir(ctx, "git", "key", mode); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("mode %d: %v", mode, err)
		}
		cancel()
	}
	if d, err := s.Dir(t.Context(), "git", "other", Exclusive); err != nil {
		t.Error(err)
	} else {
		d.Close()
	}
	if removed, err := s.Prune(t.Context(), -1); err != nil || len(removed) != 1 {
		t.Errorf("removed %v, %v", removed, err)
	}
	in.Close()
	d, err := s.Dir(t.Context(), "git", "key", Shared)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if also, err := s.Dir(t.Context(), "git", "key", Shared); err != nil {
		t.Error(err)
	} else {
		also.Close()
	}
	_ = other.Wait()
}
