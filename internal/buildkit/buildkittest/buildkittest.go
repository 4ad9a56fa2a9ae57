// Package buildkittest helps tests that build with a real BuildKit daemon and push to a real
// registry, those of the sandbox.
package buildkittest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Daemon returns the address of the sandbox's BuildKit daemon and the host of its registry. Without a
// sandbox the test is skipped.
func Daemon(t testing.TB) (address, registry string) {
	t.Helper()
	address, registry = os.Getenv("BUILDKIT_HOST"), os.Getenv("STRAKE_SANDBOX_REGISTRY")
	if address == "" || registry == "" {
		t.Skip("needs the sandbox: BUILDKIT_HOST and STRAKE_SANDBOX_REGISTRY are not set")
	}
	return address, registry
}

// Repository returns a repository of the registry that no other test and no earlier run uses.
func Repository(t testing.TB, registry string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(t.TempDir()))
	return registry + "/strake-test/" + hex.EncodeToString(sum[:6])
}

// Busybox pushes an image with this machine's busybox, as base of builds with RUN steps, and returns
// its reference. A version makes images of different digests.
func Busybox(t testing.TB, repository, version string) string {
	t.Helper()
	var binary []byte
	for _, p := range []string{"/bin/busybox", "/usr/bin/busybox"} {
		if b, err := os.ReadFile(p); err == nil {
			binary = b
			break
		}
	}
	if binary == nil {
		t.Skip("needs the Debian package busybox-static")
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, h := range []*tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(binary))},
		{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777},
		{Name: "version-" + version, Typeflag: tar.TypeReg, Mode: 0o644},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(binary); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), types.DockerUncompressedLayer))
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, configOf(t, img))
	if err != nil {
		t.Fatal(err)
	}
	ref := repository + "-base:" + version
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	return ref
}

func configOf(t testing.TB, img v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", "amd64"
	c.Config.Env = []string{"PATH=/bin"}
	return c
}

// Write writes the files, by path, below dir. Content that begins with “#!” is executable.
func Write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for p, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if bytes.HasPrefix([]byte(content), []byte("#!")) {
			mode = 0o755
		}
		if err := os.WriteFile(full, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// Root opens a folder for the length of the test.
func Root(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}
