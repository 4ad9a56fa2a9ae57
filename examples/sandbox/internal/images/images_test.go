package images

import (
	"archive/tar"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// program writes something that stands for a program.
func program(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func imageDigest(t *testing.T, r *Recipe, cache string) v1.Hash {
	t.Helper()
	image, err := r.Get(cache)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestEqualFilesGiveEqualImages(t *testing.T) {
	first, err := Pause(program(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	path := program(t, "a")
	old := time.Unix(1, 0)
	if err := errors.Join(os.Chtimes(path, old, old), os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	second, err := Pause(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Pause(program(t, "b"))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := imageDigest(t, first, t.TempDir()), imageDigest(t, second, t.TempDir()), imageDigest(t, other, t.TempDir())
	if a != b {
		t.Errorf("equal files: %v and %v", a, b)
	}
	if a == c || first.Key == other.Key {
		t.Errorf("other files: the same digest %v or key %s", a, other.Key)
	}
}

func TestImageIsMadeOnce(t *testing.T) {
	path := program(t, "a")
	recipe, err := Pause(path)
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	first := imageDigest(t, recipe, cache)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if imageDigest(t, recipe, cache) != first {
		t.Error("the cache gave another image")
	}
	left, err := filepath.Glob(filepath.Join(cache, ".making-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary folders are left: %v", left)
	}
}

func TestSeedSendsOnlyWhatIsMissing(t *testing.T) {
	writes := 0
	handler := registry.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			writes++
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	recipe, err := Pause(program(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for _, want := range []bool{true, false} {
		writes = 0
		if err := Seed(t.Context(), address, cache, []*Recipe{recipe}); err != nil {
			t.Fatal(err)
		}
		if (writes > 0) != want {
			t.Errorf("%d writes, want some: %v", writes, want)
		}
	}
}

// files lists the names in an image's file system.
func files(t *testing.T, image v1.Image) []string {
	t.Helper()
	content := mutate.Extract(image)
	defer content.Close()
	var names []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(header.Name, "/"))
	}
}

func TestGolangHasWhatBuildsNeed(t *testing.T) {
	box := &Recipe{Repository: "library/busybox", Key: "none"}
	recipe, err := Golang(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	image, err := recipe.Get(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := files(t, image)
	for _, want := range []string{"usr/local/go/bin/go", "usr/local/go/src/net/http/server.go", "usr/local/go/pkg/include/textflag.h", "usr/local/go/VERSION", "go/bin"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "usr/local/go/src/cmd/") || strings.HasPrefix(name, "usr/local/go/test") {
			t.Fatalf("%s is not needed", name)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOPATH=/go"} {
		if !slices.Contains(config.Config.Env, want) {
			t.Errorf("environment %v lacks %s", config.Config.Env, want)
		}
	}
}

// The test's own program is linked statically; the shell's libraries are known to the loader.
func TestProgramsComeWithTheirLibraries(t *testing.T) {
	static, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	box := &Recipe{Repository: "library/busybox", Key: "none"}
	r, err := onBusybox(t.Context(), box, map[string]string{"usr/bin/static": static, "usr/bin/dynamic": "/bin/sh"})
	if err != nil {
		t.Fatal(err)
	}
	r.Repository = "test/programs"
	image, err := r.Get(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := files(t, image)
	for _, want := range []string{"usr/bin/static", "usr/bin/dynamic"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %q", want, names)
		}
	}
	for _, want := range []string{"libc.so", "/ld-linux"} {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, want) }) {
			t.Errorf("no %s in %q", want, names)
		}
	}
	if slices.Contains(names, "usr/bin") {
		t.Errorf("usr/bin is busybox's: %q", names)
	}
	other, err := onBusybox(t.Context(), box, map[string]string{"usr/bin/dynamic": "/bin/sh"})
	if err != nil || other.Key == r.Key {
		t.Errorf("other programs: key %s, %v", other.Key, err)
	}
	if _, err := onBusybox(t.Context(), box, map[string]string{"usr/bin/text": program(t, "no program")}); err == nil {
		t.Error("a text was taken for a program")
	}
}

func TestVersionTags(t *testing.T) {
	for version, want := range map[string][]string{
		"1.26.8": {"latest", "1", "1.26", "1.26.8"},
		"1.27":   {"latest", "1", "1.27"},
	} {
		if got := versionTags(version); !slices.Equal(got, want) {
			t.Errorf("versionTags(%s) = %v, want %v", version, got, want)
		}
	}
}
