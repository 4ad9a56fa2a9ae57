package sync_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/plugins/vendir/vendirtest"
)

// A late server answers after a while, and counts.
func late(b *testing.B, after time.Duration, asked *atomic.Int64, handler http.Handler) string {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		time.Sleep(after)
		handler.ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// latency is what is added to each answer, as of a server somewhere else.
const latency = 50 * time.Millisecond

// each runs a configuration with the library and with ours, in the same process, and reports the requests.
func each(b *testing.B, text string, asked *atomic.Int64) {
	w := &world{}
	conf, _, _ := w.config(b, text)
	b.Run("vendir", func(b *testing.B) {
		b.Chdir(b.TempDir())
		if _, err := w.theirs(b, text, vendirconf.LockConfig{}); err != nil {
			b.Fatal(err)
		}
		before := asked.Load()
		for b.Loop() {
			if _, err := w.theirs(b, text, vendirconf.LockConfig{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(asked.Load()-before)/float64(b.N), "requests/op")
	})
	for name, how := range map[string]struct{ sameFolder, emptyCache bool }{
		"strake, same folder": {sameFolder: true}, "strake, new folder": {}, "strake, nothing cached": {emptyCache: true},
	} {
		b.Run(name, func(b *testing.B) {
			store := b.TempDir()
			dir := b.TempDir()
			if _, err := w.ours(b, syncer(b, cache.Open(store, 0)), dir, conf, nil, nil, vendirconf.LockConfig{}); err != nil {
				b.Fatal(err)
			}
			before := asked.Load()
			for i := 0; b.Loop(); i++ {
				at, from := dir, store
				if !how.sameFolder {
					at = filepath.Join(dir, fmt.Sprint(i))
					if err := os.Mkdir(at, 0o700); err != nil {
						b.Fatal(err)
					}
				}
				if how.emptyCache {
					from = filepath.Join(store, fmt.Sprint(i))
				}
				if _, err := w.ours(b, syncer(b, cache.Open(from, 0)), at, conf, nil, nil, vendirconf.LockConfig{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(asked.Load()-before)/float64(b.N), "requests/op")
		})
	}
}

// large makes a repository of 200 MB in 2,000 files, which compress to half of that.
func large(b *testing.B) string {
	b.Helper()
	root := b.TempDir()
	repo := gittest.New(b, root, "repo")
	random := rand.NewChaCha8([32]byte{1})
	for i := range 2000 {
		data := make([]byte, 100<<10)
		_, _ = random.Read(data[:len(data)/2])
		repo.Write(fmt.Sprintf("d%d/f%d", i%50, i), string(data), 0o644)
	}
	repo.Commit("all")
	repo.Git("repack", "-a", "-d", "--quiet") // as a server's are
	var asked atomic.Int64
	return late(b, 0, &asked, gittest.Handler(b, root)) + "/repo/.git"
}

// The source has nothing new.
func BenchmarkGit200MB(b *testing.B) {
	var none atomic.Int64
	each(b, one("path: a\ngit: {url: "+large(b)+", ref: origin/main}"), &none)
}

// Three contents are of one reference. In a new folder, ours takes them out of the cache, in the same one nothing
// is left to do.
func BenchmarkGitThreeContents(b *testing.B) {
	var none atomic.Int64
	url := large(b)
	text := "directories:\n- path: out\n  contents:\n"
	for _, p := range []string{"a", "b", "c"} {
		text += "  - {path: " + p + ", git: {url: " + url + ", ref: origin/main}}\n"
	}
	each(b, text, &none)
}

func BenchmarkHTTP20Archives(b *testing.B) {
	var asked atomic.Int64
	archive := vendirtest.Tgz(b, map[string]string{"a/b.yml": strings.Repeat("x: y\n", 1000)})
	url := late(b, latency, &asked, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.tgz", time.Unix(1700000000, 0), bytes.NewReader(archive))
	}))
	text := "directories:\n- path: out\n  contents:\n"
	for i := range 20 {
		text += fmt.Sprintf("  - {path: c%d, http: {url: %s/%d.tgz}}\n", i, url, i)
	}
	each(b, text, &asked)
}

func BenchmarkBundles10(b *testing.B) {
	var asked atomic.Int64
	url := late(b, latency, &asked, registry.New(registry.Logger(discard())))
	host := strings.TrimPrefix(url, "http://")
	text := "directories:\n- path: out\n  contents:\n"
	for i := range 10 {
		img := vendirtest.Image(b, map[string]string{"dev.carvel.imgpkg.bundle": "true"},
			vendirtest.Tgz(b, map[string]string{".imgpkg/images.yml": lockHead + "images: []\n", "config/c.yml": fmt.Sprint(i)}))
		ref, err := name.ParseReference(fmt.Sprintf("%s/b%d:v1", host, i))
		if err != nil {
			b.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			b.Fatal(err)
		}
		text += fmt.Sprintf("  - {path: c%d, imgpkgBundle: {image: '%s'}}\n", i, ref)
	}
	each(b, text, &asked)
}
