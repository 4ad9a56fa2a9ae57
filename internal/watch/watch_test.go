package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A scene is a folder of files that a test changes.
type scene struct {
	*testing.T
	dir   string
	w     *Watcher
	warns []error
}

func newScene(t *testing.T) *scene {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{T: t, dir: dir}
	s.w = New(Options{Look: 50 * time.Millisecond, Warn: func(err error) { s.warns = append(s.warns, err) }})
	t.Cleanup(func() {
		if err := s.w.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) write(name, text string) {
	s.Helper()
	s.ok(os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	s.ok(os.WriteFile(s.path(name), []byte(text), 0o644))
}

// fail lets the system refuse to watch.
func (s *scene) fail(err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.add = func(string) error { return err }
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) set(names ...string) {
	var paths []string
	for _, n := range names {
		paths = append(paths, s.path(n))
	}
	s.w.Set(paths, []string{s.path("src/workspace")})
}

// changed waits for changes, of which one has to be that of a path.
func (s *scene) changed(want string) []string {
	s.Helper()
	select {
	case paths := <-s.w.Changes():
		if !slices.Contains(paths, s.path(want)) {
			s.Fatalf("expected %s to change, found %q", want, paths)
		}
		return paths
	case <-time.After(5 * time.Second):
		s.Fatalf("no change of %s is told", want)
		return nil
	}
}

// quiet makes sure that nothing is told.
func (s *scene) quiet() {
	s.Helper()
	select {
	case paths := <-s.w.Changes():
		s.Fatalf("told of %q", paths)
	case <-time.After(300 * time.Millisecond):
	}
}

// Both ways to notice see the same, but for one that nobody can see by looking.
func TestChanges(t *testing.T) {
	for how, fail := range map[string]bool{"told by the system": false, "looked at": true} {
		for name, c := range map[string]struct {
			watch  []string
			change func(s *scene)
			want   []string
		}{
			"write": {
				[]string{"src"}, func(s *scene) { s.write("src/a/b.txt", "other") }, []string{"src/a/b.txt"},
			},
			"write of a file": {
				[]string{"app.yaml"}, func(s *scene) { s.write("app.yaml", "other"); s.write("beside.yaml", "") }, []string{"app.yaml"},
			},
			"save by rename": {
				[]string{"app.yaml"}, func(s *scene) {
					s.write(".app.yaml.new", "other")
					s.ok(os.Rename(s.path(".app.yaml.new"), s.path("app.yaml")))
				}, []string{"app.yaml"},
			},
			"save by rename in a folder": {
				[]string{"src"}, func(s *scene) { s.write("new", "other"); s.ok(os.Rename(s.path("new"), s.path("src/a/b.txt"))) }, []string{"src/a/b.txt"},
			},
			"new folder and what is written to it later": {
				[]string{"src"}, func(s *scene) {
					s.ok(os.MkdirAll(s.path("src/x/y"), 0o755))
					s.changed("src/x")
					s.write("src/x/y/z.txt", "")
				}, []string{"src/x/y/z.txt"},
			},
			"folder moved away and made again": {
				[]string{"src"}, func(s *scene) {
					s.ok(os.Rename(s.path("src/a"), s.path("gone")))
					s.changed("src/a")
					s.ok(os.Mkdir(s.path("src/a"), 0o755))
					s.changed("src/a")
					s.write("gone/b.txt", "not watched")
					s.write("src/a/c.txt", "")
				}, []string{"src/a/c.txt"},
			},
			"delete": {
				[]string{"src"}, func(s *scene) { s.ok(os.Remove(s.path("src/a/b.txt"))) }, []string{"src/a/b.txt"},
			},
			"the folder itself deleted and made again": {
				[]string{"src"}, func(s *scene) {
					s.ok(os.RemoveAll(s.path("src")))
					s.changed("src")
					s.write("src/q.txt", "")
					s.changed("src")
					s.write("src/r.txt", "")
				}, []string{"src/r.txt"},
			},
			"what isn't there yet": {
				[]string{"later/deep/app.yaml"}, func(s *scene) { s.write("later/deep/app.yaml", "") }, []string{"later/deep/app.yaml"},
			},
			"by way of a link": {
				[]string{"link"}, func(s *scene) { s.write("src/a/b.txt", "other") }, []string{"link/a/b.txt"},
			},
			"both by way of a link and not": {
				[]string{"link", "src"}, func(s *scene) { s.write("src/a/b.txt", "other") }, []string{"link/a/b.txt", "src/a/b.txt"},
			},
			"link that leads elsewhere now": {
				[]string{"link"}, func(s *scene) {
					s.ok(os.Symlink("other", s.path("link.new")))
					s.ok(os.Rename(s.path("link.new"), s.path("link")))
					s.changed("link")
					s.write("other/c.txt", "")
				}, []string{"link/c.txt"},
			},
			"executable bit": {
				[]string{"src"}, func(s *scene) { s.ok(os.Chmod(s.path("src/a/b.txt"), 0o755)) }, []string{"src/a/b.txt"},
			},
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				s := newScene(t)
				s.write("src/a/b.txt", "text")
				s.write("app.yaml", "text")
				s.write("other/b.txt", "much longer text")
				s.ok(os.Symlink("src", s.path("link")))
				if fail {
					s.fail(syscall.ENOSPC)
				}
				s.set(c.watch...)
				if fail && name == "link that leads elsewhere now" {
					t.Skip("of a link only what is behind it is looked at")
				}
				c.change(s)
				for _, want := range c.want {
					if got := s.changed(want); len(got) == len(c.want) {
						break
					}
				}
				s.quiet()
				if fail != (len(s.warns) == 1) {
					t.Errorf("warnings: %v", s.warns)
				}
			})
		}
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	for how, fail := range map[string]bool{"told by the system": false, "looked at": true} {
		t.Run(how, func(t *testing.T) {
			s := newScene(t)
			s.write("src/.git/HEAD", "x")
			s.write("src/workspace/run.json", "x")
			if fail {
				s.fail(syscall.EMFILE)
			}
			s.set("src")
			for _, name := range []string{
				".git/HEAD", ".git/index.lock", "workspace/run.json", "workspace/new/x",
				".main.go.swp", "4913", "main.go~", ".#main.go", "#main.go#", "main.go___jb_tmp___",
			} {
				s.write("src/"+name, "other text")
			}
			s.quiet()
			s.write("src/.dockerignore", "x")
			s.changed("src/.dockerignore")
		})
	}
}

// A thousand files at once are one change or two, and none of them is missed.
func TestBurst(t *testing.T) {
	const files = 1000
	s := newScene(t)
	s.write("src/a.txt", "")
	s.set("src")
	for n := range files {
		s.write(fmt.Sprintf("src/d%d/%d.txt", n%10, n), "text")
	}
	found, batches := map[string]bool{}, 0
	for deadline := time.Now().Add(10 * time.Second); len(found) < files && time.Now().Before(deadline); batches++ {
		select {
		case paths := <-s.w.Changes():
			for _, p := range paths {
				found[p] = true
			}
		case <-time.After(time.Second):
			// Files that were written before their new folder was watched are told as the folder.
			deadline = time.Now()
		}
	}
	for n := range files {
		dir := s.path(fmt.Sprintf("src/d%d", n%10))
		if file := filepath.Join(dir, fmt.Sprintf("%d.txt", n)); !found[file] && !found[dir] {
			t.Fatalf("%s is not told", file)
		}
	}
	if batches > 4 {
		t.Errorf("told in %d batches", batches)
	}
}

// Changes that nobody receives are kept, and told together.
func TestKept(t *testing.T) {
	s := newScene(t)
	s.write("src/a.txt", "")
	s.set("src")
	for _, name := range []string{"src/a.txt", "src/b.txt"} {
		s.write(name, "more")
		time.Sleep(200 * time.Millisecond)
	}
	if got := s.changed("src/a.txt"); !slices.Contains(got, s.path("src/b.txt")) {
		t.Errorf("told %q", got)
	}
}

// What isn't to be watched any more isn't.
func TestSetAgain(t *testing.T) {
	s := newScene(t)
	s.write("src/a.txt", "")
	s.write("other/a.txt", "")
	s.set("src")
	s.set("other")
	s.write("src/a.txt", "x")
	s.quiet()
	s.write("other/a.txt", "x")
	s.changed("other/a.txt")
}

func TestLimitIsTold(t *testing.T) {
	s := newScene(t)
	s.write("src/a.txt", "")
	s.fail(syscall.ENOSPC)
	s.set("src")
	if len(s.warns) != 1 || !strings.Contains(s.warns[0].Error(), "fs.inotify.max_user_watches") {
		t.Errorf("warnings: %v", s.warns)
	}
}

// A change of few files is told soon.
func TestSoon(t *testing.T) {
	s := newScene(t)
	s.write("src/a.txt", "")
	s.set("src")
	began := time.Now()
	s.write("src/a.txt", "x")
	s.changed("src/a.txt")
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("told after %s", took)
	}
}
