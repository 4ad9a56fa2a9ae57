package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

// An App that hasn't changed is never built again, and a change of one byte is built once and named.
func TestNeverTwiceForTheSameInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("build")
	before := w.registryWrites()
	if before == 0 {
		t.Fatal("the registry's log doesn't show the push")
	}
	daemon := listen(t)
	for range 100 {
		w.must("build", "--buildkit-addr", daemon.address)
	}
	if n := daemon.calls.Load(); n != 0 {
		t.Errorf("the daemon was called %d times", n)
	}
	if n := w.registryWrites() - before; n != 0 {
		t.Errorf("%d writes to the registry", n)
	}
	if got := w.tags(); len(got) != 1 {
		t.Errorf("tags are %q", got)
	}

	w.replace("src/main.go", "Hello ", "Hallo ")
	o := w.must("build", "--why")
	if !strings.Contains(o.stdout, "src/main.go changed") {
		t.Errorf("the reason doesn't name the file: %s", o)
	}
	if got := w.tags(); len(got) != 2 {
		t.Errorf("tags are %q", got)
	}
	if o := w.must("build", "--buildkit-addr", daemon.address); !strings.Contains(o.stdout, "reused") || daemon.calls.Load() != 0 {
		t.Errorf("after the build: %s", o)
	}
	if o := w.strake("build", "--rebuild", "--buildkit-addr", daemon.address); o.code != 1 || daemon.calls.Load() == 0 {
		t.Errorf("a rebuild doesn't call the daemon: %s", o)
	}
	if o := w.must("build", "--rebuild"); !strings.Contains(o.stdout, "a rebuild was asked for") {
		t.Errorf("a rebuild: %s", o)
	}
	if got := w.tags(); len(got) != 2 {
		t.Errorf("after a rebuild, tags are %q", got)
	}
}

// A listener is an address where a daemon could be; it counts those who call, and answers nobody. The
// sandbox's own daemon is busy for other tests.
type listener struct {
	address string
	calls   atomic.Int64
}

func listen(t *testing.T) *listener {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	l := &listener{address: "tcp://" + server.Addr().String()}
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			l.calls.Add(1)
			conn.Close()
		}
	}()
	return l
}

// registryWrites counts what has been written to the world's repository.
func (w *world) registryWrites() int {
	t := w.t
	t.Helper()
	log := filepath.Join(filepath.Dir(os.Getenv("STRAKE_SANDBOX_BUILDKIT_LOG")), "registry.log")
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		for _, method := range []string{"PUT", "POST", "PATCH"} {
			if strings.Contains(line, "http.request.method="+method) && strings.Contains(line, w.namespace) {
				n++
			}
		}
	}
	return n
}

// What an image is built from moves with lock update, and with --only nothing else does.
func TestLockUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := buildkittest.Busybox(t, w.repo, "1")
	w.write("src/Dockerfile", "FROM "+base+"\nCOPY main.go /\n")
	w.must("build")
	lock := w.read("app.lock.yaml")
	if !strings.Contains(lock, "image: "+base) {
		t.Errorf("the lock doesn't pin the base:\n%s", lock)
	}
	w.must("build", "--locked")

	moved, err := remote.Image(parse(t, buildkittest.Busybox(t, w.repo, "2")))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parse(t, base), moved); err != nil {
		t.Fatal(err)
	}
	w.must("build", "--locked")
	if w.read("app.lock.yaml") != lock {
		t.Error("a locked build has changed the lock")
	}
	if o := w.strake("lock", "update", "--only", "bsae"); o.code != 1 || !strings.Contains(o.stderr, `the lock file has no entry "bsae"`) {
		t.Errorf("unknown entry: %s", o)
	}
	w.replace("src/main.go", "Hello ", "Hallo ")
	if o := w.strake("lock", "update", "--only", base, "--set", "image_repo="+w.repo); o.code != 4 || !strings.Contains(o.stderr, "src/main.go changed") {
		t.Errorf("another change beside the base: %s", o)
	}
	w.replace("src/main.go", "Hallo ", "Hello ")
	o := w.must("lock", "update", "--only", base, "--set", "image_repo="+w.repo)
	for _, want := range []string{base + ": sha256:", "simple-app: " + w.repo + "@sha256:", "lock: app.lock.yaml written"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("no %q in %s", want, o)
		}
	}
	if w.read("app.lock.yaml") == lock {
		t.Error("the lock is the same")
	}
	o = w.must("lock", "update", "--output", "json", "--set", "image_repo="+w.repo)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	var last struct{ Result struct{ Moves []any } }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(last.Result.Moves) != 0 {
		t.Errorf("nothing moved, but %s: %v", lines[len(lines)-1], err)
	}
}

func parse(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// The table of build says what people ask of an image.
func TestBuildTellsWhatItBuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("src/Dockerfile", "FROM scratch\nCOPY main.go /\n")
	images := func(args ...string) stages.Image {
		o := w.must(append([]string{"build", "--output", "json"}, args...)...)
		lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
		var last struct {
			Result struct{ Images []stages.Image }
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(last.Result.Images) != 1 {
			t.Fatalf("%v: %s", err, o)
		}
		return last.Result.Images[0]
	}
	built := images()
	if built.Action != "built" || built.Size == 0 || built.Seconds == 0 || fmt.Sprint(built.Platforms) != "[linux/amd64]" {
		t.Errorf("built: %+v", built)
	}
	reused := images()
	if reused.Action != "reused" || reused.Size != built.Size || fmt.Sprint(reused.Platforms) != fmt.Sprint(built.Platforms) {
		t.Errorf("reused: %+v, built: %+v", reused, built)
	}
}
