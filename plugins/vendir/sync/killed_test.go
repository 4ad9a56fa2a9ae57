package sync_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/thorough"
	vendirsync "strake.dev/strake/plugins/vendir/sync"
)

// killedConfig has two folders of several contents; VERSION changes all of them.
func killedConfig(version string) string {
	var b strings.Builder
	b.WriteString("directories:\n")
	for _, dir := range []string{"one", "two"} {
		b.WriteString("- path: " + dir + "\n  contents:\n  - {path: m, manual: {}}\n  - {path: g, git: {url: PATHREPO, ref: " + version + "}}\n")
		for i := range 3 {
			fmt.Fprintf(&b, "  - {path: i%d, inline: {paths: {v.txt: %q, w.txt: %q}}}\n", i, version, version)
		}
	}
	return b.String()
}

// killedChild syncs once, in the working directory, as another process does.
func killedChild(t *testing.T) {
	conf, _, _, err := vendirconf.NewConfigFromFiles([]string{os.Getenv("STRAKE_TEST_CONFIG")})
	if err != nil {
		t.Fatal(err)
	}
	s := syncer(t, cache.Open(os.Getenv("STRAKE_TEST_CACHE"), 0))
	if _, err := s.Sync(t.Context(), conf, vendirsync.Options{Dir: ".", Objects: vendirsync.Objects(nil, nil, nil), Events: silent{}}); err != nil {
		t.Fatal(err)
	}
}

// A sync that is killed at any point leaves each folder as it was or as it is to be, with what somebody has put
// there by hand; the next one makes all of them what they are to be, and leaves nothing else behind.
func TestKilled(t *testing.T) {
	if os.Getenv("STRAKE_TEST_CONFIG") != "" {
		killedChild(t)
		return
	}
	w := newWorld(t)
	points := thorough.Times(16, 100)
	dir, store := t.TempDir(), t.TempDir()
	versions := []string{"v1.0.0", "v0.9.0"}
	var want []map[string]string
	start := func(version string) *exec.Cmd {
		file := filepath.Join(t.TempDir(), "vendir.yml")
		if err := os.WriteFile(file, []byte(strings.NewReplacer(w.values...).Replace(head+killedConfig(version))), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "STRAKE_TEST_CONFIG="+file, "STRAKE_TEST_CACHE="+store)
		return cmd
	}
	for _, name := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "m"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "m", "by-hand"), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole := time.Duration(0) // how long the last sync took that was left alone
	for _, version := range versions {
		began := time.Now()
		if out, err := start(version).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		whole = time.Since(began)
		want = append(want, treeOf(t, filepath.Join(dir, "one")))
	}
	mixed, killed := 0, 0
	for i := range points {
		version := i % 2
		cmd := start(versions[version])
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(whole))
		_ = cmd.Process.Kill()
		err := cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signaled() {
			killed++
		}
		var states []int
		for _, name := range []string{"one", "two"} {
			got := treeOf(t, filepath.Join(dir, name))
			switch {
			case cmp.Equal(want[0], got):
				states = append(states, 0)
			case cmp.Equal(want[1], got):
				states = append(states, 1)
			default:
				t.Fatalf("point %d: %s is neither of both:\n%s\n%s", i, name, cmp.Diff(want[0], got), cmp.Diff(want[1], got))
			}
		}
		if states[0] != states[1] {
			mixed++ // between two folders; what follows completes it
		}
		began := time.Now()
		if out, err := start(versions[version]).CombinedOutput(); err != nil {
			t.Fatalf("point %d: %v\n%s", i, err, out)
		}
		if states[0] != version && states[1] != version {
			whole = time.Since(began)
		}
		for _, name := range []string{"one", "two"} {
			if d := cmp.Diff(want[version], treeOf(t, filepath.Join(dir, name))); d != "" {
				t.Fatalf("point %d: after the next sync, %s:\n%s", i, name, d)
			}
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
			t.Fatalf("point %d: left %v, %v", i, left, err)
		}
	}
	if killed < points/2 {
		t.Errorf("only %d of %d syncs were killed before they had ended", killed, points)
	}
	t.Logf("%d of %d syncs were killed, %d of them between two folders", killed, points, mixed)
}

// What was to be moved by a sync that was killed in between is moved by the next.
func TestResume(t *testing.T) {
	w := newWorld(t)
	dir, s := t.TempDir(), syncer(t, nil)
	for _, p := range []string{".vendir-tmp-s1/new/a", ".vendir-tmp-s1/new/b", "a"} {
		if err := os.MkdirAll(filepath.Join(dir, p), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		".vendir-tmp-s1/lock": "", ".vendir-tmp-s1/new/a/f": "new", ".vendir-tmp-s1/new/b/f": "new", "a/f": "old",
		".vendir-tmp-s1/journal.json": `[{"from": "new/a", "to": "a", "inode": 1}, {"from": "new/b", "to": "deep/b", "inode": 2}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf, _, _ := w.config(t, "directories: []\n")
	if _, err := w.ours(t, s, dir, conf, nil, nil, vendirconf.LockConfig{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"a/f": "new", "deep/b/f": "new"}, treeOf(t, dir)); d != "" {
		t.Error(d)
	}
}

// A journal that somebody has forged moves nothing out of the folder.
func TestForgedJournal(t *testing.T) {
	w := newWorld(t)
	root := t.TempDir()
	dir := filepath.Join(root, "work")
	if err := os.MkdirAll(filepath.Join(dir, ".vendir-tmp-s1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"lock": "", "journal.json": `[{"from": "lock", "to": "../out"}]`} {
		if err := os.WriteFile(filepath.Join(dir, ".vendir-tmp-s1", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf, _, _ := w.config(t, "directories: []\n")
	if _, err := w.ours(t, syncer(t, nil), dir, conf, nil, nil, vendirconf.LockConfig{}); err == nil || !strings.Contains(err.Error(), "leads out") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(root); len(left) != 1 {
		t.Errorf("moved out: %v", left)
	}
}
