package kbld_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages/stagetest"
)

// BenchmarkResolve200 resolves 200 references of 200 repositories at a registry that takes 50 ms for
// each request, as one far away does, with new connections each time. It reports how many requests that
// takes.
func BenchmarkResolve200(b *testing.B) {
	const references, latency = 200, 50 * time.Millisecond
	for _, c := range []struct {
		name  string
		world func() (w *world, ca string)
		run   func(b *testing.B, w *world, ca, manifests string)
	}{
		{"strake", func() (*world, string) { return newWorld(b), "" }, resolveOurs},
		{"kbld-4", func() (*world, string) { return newWorld(b), "" }, resolveKbld(4)},
		{"kbld-32", func() (*world, string) { return newWorld(b), "" }, resolveKbld(32)},
		{"strake-tls", func() (*world, string) { return newTLSWorld(b, false) }, resolveOurs},
		{"strake-tls-http2", func() (*world, string) { return newTLSWorld(b, true) }, resolveOurs},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, ca := c.world()
			var refs []string
			for i := range references {
				ref := fmt.Sprintf("team%d/app%d:1.%d", i%7, i, i)
				w.push(ref, ref)
				refs = append(refs, w.host+"/"+ref)
			}
			var requests atomic.Int64
			w.answer = func(http.ResponseWriter, *http.Request) bool {
				requests.Add(1)
				time.Sleep(latency)
				return false
			}
			for b.Loop() {
				c.run(b, w, ca, deployment(refs...))
			}
			b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/op")
		})
	}
}

func resolveOurs(b *testing.B, w *world, ca, manifests string) {
	var opts registry.Options
	if ca != "" {
		opts.CAs = []string{ca}
	}
	w.connect(w.host, opts)
	if _, result := w.must(stagetest.Case{Manifests: manifests}); !strings.Contains(string(result.Manifests), "@sha256:") {
		b.Fatal("nothing was resolved")
	}
}

func resolveKbld(concurrency int) func(*testing.B, *world, string, string) {
	return func(b *testing.B, _ *world, _, manifests string) {
		out, _, err := real(b, manifests, func(o *kbldcmd.ResolveOptions) { o.BuildConcurrency = concurrency })
		if err != nil || !strings.Contains(out, "@sha256:") {
			b.Fatalf("nothing was resolved: %v", err)
		}
	}
}

// newTLSWorld returns a world whose registry speaks HTTPS, and the file of the certificate that it is
// trusted by.
func newTLSWorld(t testing.TB, http2 bool) (w *world, ca string) {
	t.Helper()
	w, handler := emptyWorld(t)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	w.connect(strings.TrimPrefix(server.URL, "https://"), registry.Options{CAs: []string{ca}})
	return w, ca
}
