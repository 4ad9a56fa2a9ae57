package git_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	vendirfetch "carvel.dev/vendir/pkg/vendir/fetch"
	vendircache "carvel.dev/vendir/pkg/vendir/fetch/cache"
	vendirgit "carvel.dev/vendir/pkg/vendir/fetch/git"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/internal/git/gittest"
)

// large makes a repository of about 200 MB that doesn't compress: 4,000 files, 10 commits.
func large(b *testing.B, root string) *gittest.Repo {
	b.Helper()
	r := gittest.New(b, root, "repo")
	random := rand.NewChaCha8([32]byte{1})
	write := func(i int) {
		content := make([]byte, 48<<10)
		_, _ = random.Read(content)
		r.Write(fmt.Sprintf("d%02d/f%04d", i%64, i), string(content), 0o644)
	}
	for i := range 4000 {
		write(i)
	}
	r.Commit("0")
	for c := range 9 {
		for i := range 20 {
			write(c*20 + i)
		}
		r.Commit(fmt.Sprint(c + 1))
	}
	r.Git("tag", "v1.0")
	r.Git("-c", "pack.compression=0", "gc", "--quiet")
	return r
}

// BenchmarkGit compares with vendir's own library: a source that hasn't changed, one with a new commit, and
// three checkouts of one commit.
func BenchmarkGit(b *testing.B) {
	root, url, count := counted(b)
	repo := large(b, root)
	address := url + "/repo/.git"
	place := b.TempDir()
	ours := func(o git.Options) func(b *testing.B) {
		return func(b *testing.B) {
			if _, dir, err := through(b, cache.Open(place, 0), address, "main", o); err != nil {
				b.Fatal(err)
			} else if err := os.RemoveAll(dir); err != nil {
				b.Fatal(err)
			}
		}
	}
	theirs := func(store vendircache.Cache) func(b *testing.B) {
		return func(b *testing.B) {
			sync := vendirgit.NewSync(vendirconf.DirectoryContentsGit{URL: address, Ref: "origin/main"}, io.Discard, vendirfetch.SingleSecretRefFetcher{}, store)
			dir := filepath.Join(b.TempDir(), "out")
			if _, err := sync.Sync(dir, tempArea{b}); err != nil {
				b.Fatal(err)
			}
			if err := os.RemoveAll(dir); err != nil {
				b.Fatal(err)
			}
		}
	}
	cached, err := vendircache.NewCache(b.TempDir(), "10Gi")
	if err != nil {
		b.Fatal(err)
	}
	all := []struct {
		name string
		run  func(*testing.B)
	}{
		{"strake", ours(git.Options{})},
		{"strake, .git kept", ours(git.Options{KeepGit: true})},
		{"strake, sub-folder", ours(git.Options{SubPath: "d01"})},
		{"vendir", theirs(&vendircache.NoCache{})},
		{"vendir, cached", theirs(cached)},
	}
	measure := func(b *testing.B, prepare func(), times int, run func(*testing.B)) {
		asked, received := gittest.Count{}, 0
		for b.Loop() {
			b.StopTimer()
			prepare()
			count.Take()
			b.StartTimer()
			for range times {
				run(b)
			}
			b.StopTimer()
			n, size := count.Take()
			asked.Lists, asked.Fetches = asked.Lists+n.Lists, asked.Fetches+n.Fetches
			received += size
			b.StartTimer()
		}
		b.ReportMetric(float64(asked.Lists)/float64(b.N), "lists/op")
		b.ReportMetric(float64(asked.Fetches)/float64(b.N), "fetches/op")
		b.ReportMetric(float64(received)/float64(b.N)/1e6, "MB-received/op")
	}
	commits := 0
	commit := func() {
		commits++
		repo.Write("d00/f0000", fmt.Sprint(commits), 0o644)
		repo.Commit(fmt.Sprint("new ", commits))
	}
	for _, c := range all {
		b.Run("first/"+c.name, func(b *testing.B) { measure(b, func() {}, 1, c.run) })
	}
	for _, c := range all {
		b.Run("unchanged/"+c.name, func(b *testing.B) { measure(b, func() {}, 1, c.run) })
	}
	b.Run("unchanged/strake, resolved only", func(b *testing.B) {
		measure(b, func() {}, 1, func(b *testing.B) {
			r, err := git.Open(address, git.Auth{}, b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Refs(b.Context(), "main"); err != nil {
				b.Fatal(err)
			}
		})
	})
	for _, c := range all {
		b.Run("new commit/"+c.name, func(b *testing.B) { measure(b, commit, 1, c.run) })
	}
	for _, c := range all {
		b.Run("three checkouts/"+c.name, func(b *testing.B) { measure(b, commit, 3, c.run) })
	}
	b.Run("writing the files alone", func(b *testing.B) {
		source := b.TempDir()
		if err := os.CopyFS(source, os.DirFS(repo.Dir)); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(source, ".git")); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			dir := filepath.Join(b.TempDir(), "out")
			if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
				b.Fatal(err)
			}
			if err := os.RemoveAll(dir); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// tempArea is vendir's place for temporary files.
type tempArea struct{ b *testing.B }

func (a tempArea) NewTempDir(name string) (string, error) {
	return os.MkdirTemp(a.b.TempDir(), name)
}

func (a tempArea) NewTempFile(name string) (*os.File, error) {
	return os.CreateTemp(a.b.TempDir(), name)
}
