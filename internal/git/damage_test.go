package git_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/thorough"
)

// TestMain lets the test binary be another process that checks something out.
func TestMain(m *testing.M) {
	if os.Getenv("STRAKE_TEST_CHECKOUT") == "" {
		os.Exit(m.Run())
	}
	if err := checkoutElsewhere(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func checkoutElsewhere() error {
	temp, err := os.MkdirTemp("", "elsewhere-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	r, err := git.Open(os.Getenv("STRAKE_TEST_URL"), git.Auth{}, temp)
	if err != nil {
		return err
	}
	defer r.Close()
	r.Cache = cache.Open(os.Getenv("STRAKE_TEST_CACHE"), 0)
	dir := filepath.Join(temp, "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	_, err = r.Checkout(context.Background(), dir, git.Commit{SHA: os.Getenv("STRAKE_TEST_CHECKOUT")}, git.Options{KeepGit: os.Getenv("STRAKE_TEST_KEEP") != ""})
	return err
}

func elsewhere(t testing.TB, place, url, sha string, keep bool) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STRAKE_TEST_CHECKOUT="+sha, "STRAKE_TEST_URL="+url, "STRAKE_TEST_CACHE="+place, "TMPDIR="+t.TempDir())
	if keep {
		cmd.Env = append(cmd.Env, "STRAKE_TEST_KEEP=1")
	}
	return cmd
}

// filled makes a repository with some history and content, of which every commit differs.
func filled(t testing.TB, root string, commits int) (r *gittest.Repo, shas []string) {
	t.Helper()
	r = gittest.New(t, root, "repo")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range commits {
		for j := range 20 {
			var text strings.Builder
			for range 2000 {
				fmt.Fprintf(&text, "%x", random.Uint64())
			}
			r.Write(fmt.Sprintf("d%d/f%d", j%4, (i+j)%25), text.String(), 0o644)
		}
		r.Write("number", fmt.Sprint(i), 0o644)
		shas = append(shas, r.Commit(fmt.Sprint(i)))
	}
	return r, shas
}

// Eight at once in this process, and two others: the server is asked for the files once.
func TestConcurrentCheckouts(t *testing.T) {
	root, url, count := counted(t)
	_, shas := filled(t, root, 2)
	for _, o := range []git.Options{{}, {KeepGit: true}} {
		count.Take()
		place := t.TempDir()
		address := url + "/repo/.git"
		others := []*exec.Cmd{elsewhere(t, place, address, shas[1], o.KeepGit), elsewhere(t, place, address, shas[1], o.KeepGit)}
		for _, cmd := range others {
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		for range 8 {
			go func() {
				_, dir, err := through(t, cache.Open(place, 0), address, shas[1], o)
				if err == nil && tree(t, dir)["number"] != "1" {
					err = fmt.Errorf("got %q", tree(t, dir)["number"])
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for _, cmd := range others {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		if n, _ := count.Take(); n.Fetches != 1 {
			t.Errorf("%+v: asked %+v", o, n)
		}
	}
}

// Whenever a fetch is killed, the next one out of the same cache is right.
func TestKilledFetch(t *testing.T) {
	root, url, _ := counted(t)
	_, shas := filled(t, root, 4)
	address := url + "/repo/.git"
	want := map[string]map[string]string{}
	for _, sha := range shas {
		_, dir, err := through(t, nil, address, sha, git.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want[sha] = tree(t, dir)
	}
	begin := time.Now()
	if err := elsewhere(t, t.TempDir(), address, shas[0], true).Run(); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(begin)
	place := t.TempDir()
	points := thorough.Times(8, 24)
	cut := 0
	for i := 0; cut < points; i++ {
		if i == 4*points {
			t.Fatalf("only %d of %d were cut off", cut, i)
		}
		if i%8 == 0 {
			place = t.TempDir()
		}
		sha, keep := shas[i%len(shas)], i%3 == 0
		cmd := elsewhere(t, place, address, sha, keep)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(float64(whole) * 0.7 * (float64(cut) + rand.Float64()) / float64(points)))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := cmd.Wait()
		_, dir, err := through(t, cache.Open(place, 0), address, sha, git.Options{KeepGit: keep})
		if err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		if d := cmp.Diff(want[sha], tree(t, dir)); d != "" {
			t.Fatalf("after kill %d: %s", i, d)
		}
		if keep {
			gitIn(t, dir, "fsck", "--full")
		}
		if killed != nil {
			cut++
		} else {
			// Most is in the cache by now, or it was measured while the machine had more to do.
			place, whole = t.TempDir(), whole*9/10
		}
	}
	if left, _ := filepath.Glob(filepath.Join(place, "repositories/*/*/objects/pack/tmp_*")); len(left) > 0 {
		t.Logf("left for the next fetch to sweep: %q", left)
	}
}

// Whatever is damaged in a mirror, what is checked out is right.
func TestDamagedMirror(t *testing.T) {
	root, url, _ := counted(t)
	repo, shas := filled(t, root, 3)
	repo.Git("config", "uploadpack.allowFilter", "true")
	address := url + "/repo/.git"
	sub := git.Options{SubPath: "d1"}
	keep := git.Options{KeepGit: true}
	each := func(pattern string, change func(string) error) func(string) error {
		return func(place string) error {
			files, err := filepath.Glob(filepath.Join(place, "repositories", "*", pattern))
			if err != nil || len(files) == 0 {
				return fmt.Errorf("nothing is %s: %w", pattern, err)
			}
			for _, f := range files {
				if err := os.Chmod(f, 0o700); err != nil {
					return err
				}
				if err := change(f); err != nil {
					return err
				}
			}
			return nil
		}
	}
	cutTo := func(part int64) func(string) error {
		return func(f string) error {
			info, err := os.Stat(f)
			if err != nil {
				return err
			}
			return os.Truncate(f, info.Size()*part/100)
		}
	}
	zero := func(f string) error {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		clear(text[len(text)/3 : len(text)/3+min(4096, len(text)/3)])
		return os.WriteFile(f, text, 0o600)
	}
	write := func(text string) func(string) error {
		return func(f string) error { return os.WriteFile(f, []byte(text), 0o600) }
	}
	tests := map[string]struct {
		options git.Options
		change  func(string) error
	}{
		"pack cut":           {git.Options{}, each("shallow/objects/pack/*.pack", cutTo(50))},
		"pack cut a little":  {git.Options{}, each("shallow/objects/pack/*.pack", cutTo(99))},
		"pack empty":         {git.Options{}, each("shallow/objects/pack/*.pack", write(""))},
		"pack gone":          {git.Options{}, each("shallow/objects/pack/*.pack", os.Remove)},
		"pack zeroed":        {git.Options{}, each("shallow/objects/pack/*.pack", zero)},
		"index gone":         {git.Options{}, each("shallow/objects/pack/*.idx", os.Remove)},
		"index cut":          {git.Options{}, each("shallow/objects/pack/*.idx", cutTo(60))},
		"index zeroed":       {git.Options{}, each("shallow/objects/pack/*.idx", zero)},
		"no objects":         {git.Options{}, each("shallow/objects", os.RemoveAll)},
		"HEAD empty":         {git.Options{}, each("shallow/HEAD", write(""))},
		"HEAD gone":          {git.Options{}, each("shallow/HEAD", os.Remove)},
		"config torn":        {git.Options{}, each("shallow/config", write("[core\nx"))},
		"config gone":        {git.Options{}, each("shallow/config", os.Remove)},
		"references gone":    {git.Options{}, each("shallow/refs/*", os.RemoveAll)},
		"references torn":    {git.Options{}, each("shallow/refs/strake/*", write("123"))},
		"references empty":   {git.Options{}, each("shallow/refs/strake/*", write(""))},
		"boundary gone":      {git.Options{}, each("shallow/shallow", os.Remove)},
		"boundary torn":      {git.Options{}, each("shallow/shallow", write("12\n"))},
		"mirror is a file":   {git.Options{}, each("shallow", func(f string) error { _ = os.RemoveAll(f); return write("")(f) })},
		"locks":              {git.Options{}, each("shallow", func(f string) error { _ = write("")(f + "/config.lock"); return write("")(f + "/shallow.lock") })},
		"sparse pack cut":    {sub, each("sparse/objects/pack/*.pack", cutTo(50))},
		"sparse pack zeroed": {sub, each("sparse/objects/pack/*.pack", zero)},
		"sparse index gone":  {sub, each("sparse/objects/pack/*.idx", os.Remove)},
		"full pack cut":      {keep, each("full/objects/pack/*.pack", cutTo(50))},
		"full pack gone":     {keep, each("full/objects/pack/*.pack", os.Remove)},
		"full index gone":    {keep, each("full/objects/pack/*.idx", os.Remove)},
		"full torn refs":     {keep, each("full/refs/strake/*", write("x"))},
		"full HEAD gone":     {keep, each("full/HEAD", os.Remove)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			thorough.One(t, 4, name)
			place := t.TempDir()
			store := cache.Open(place, 0)
			check := func(sha, number string) {
				t.Helper()
				_, dir, err := through(t, store, address, sha, test.options)
				if err != nil {
					t.Fatal(err)
				}
				files := tree(t, dir)
				if test.options.SubPath == "" && files["number"] != number || len(files) < 5 {
					t.Errorf("%d files, number %q", len(files), files["number"])
				}
				if test.options.KeepGit {
					gitIn(t, dir, "fsck", "--full")
				}
			}
			check(shas[0], "0")
			if err := test.change(place); err != nil {
				t.Fatal(err)
			}
			check(shas[0], "0")
			check(shas[2], "2")
			if err := test.change(place); err != nil {
				t.Fatal(err)
			}
			// A fetch into a damaged mirror.
			check(shas[1], "1")
		})
	}
}

// The network may fail twice; a refusal is final.
func TestRetries(t *testing.T) {
	root := t.TempDir()
	gittest.New(t, root, "repo").Commit("c")
	inner := gittest.Handler(t, root)
	var asked, status atomic.Int32
	failures := int32(2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= failures {
			if s := int(status.Load()); s != 0 {
				http.Error(w, "later", s)
				return
			}
			panic(http.ErrAbortHandler) // the connection breaks
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	for name, test := range map[string]struct {
		status, failures int32
		ok               bool
	}{
		"busy": {503, 2, true}, "gateway": {502, 2, true}, "cut off": {0, 2, true}, "too often": {503, 3, false}, "forbidden": {403, 1, false}, "absent": {404, 1, false},
	} {
		asked.Store(0)
		status.Store(test.status)
		failures = test.failures
		r := open(t, server.URL+"/repo/.git", git.Auth{})
		r.SetBackoff(10 * time.Millisecond)
		_, err := r.Refs(t.Context())
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if n := asked.Load(); !test.ok && n != test.failures {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}
