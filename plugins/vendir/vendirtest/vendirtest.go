// Package vendirtest makes sources for tests of fetching, and compares what was fetched.
package vendirtest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	regserver "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Tgz packs files: executable where the content begins with #!, links where with “-> ”.
func Tgz(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, name := range sortedNames(files) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		body := files[name]
		if target, ok := strings.CutPrefix(body, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, body = tar.TypeSymlink, target, 0, ""
		}
		if strings.HasPrefix(body, "#!") {
			h.Mode = 0o755
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Zip packs files, executable where the content begins with #!.
func Zip(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedNames(files) {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o644)
		if strings.HasPrefix(files[name], "#!") {
			h.SetMode(0o755)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layerOf is a layer as imgpkg makes them.
func layer(t testing.TB, data []byte) v1.Layer {
	t.Helper()
	return static.NewLayer(data, types.DockerLayer)
}

// Image is an image of layers, each given by its packed content.
func Image(t testing.TB, labels map[string]string, layers ...[]byte) v1.Image {
	t.Helper()
	img := empty.Image
	for _, data := range layers {
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer(t, data)}); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Labels = labels
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// Push pushes an image under tags, and returns its digest.
func Push(t testing.TB, repo string, img v1.Image, tags ...string) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	refs := []string{repo + "@" + d.String()}
	for _, tag := range tags {
		refs = append(refs, repo+":"+tag)
	}
	for _, text := range refs {
		ref, err := name.ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	return d.String()
}

// Registry starts a registry and returns its host.
func Registry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(regserver.New(regserver.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Tree lists the files and links of a folder: content, “x ” before that of executables, targets.
func Tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if e.Type() == fs.ModeSymlink {
			target, err := os.Readlink(p)
			got[name] = "-> " + target
			return err
		}
		if !e.Type().IsRegular() {
			got[name] = e.Type().String()
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		got[name] = string(text)
		if info.Mode()&0o100 != 0 {
			got[name] = "x " + string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Write makes files below dir: executable where the content begins with #!, links where with “-> ”.
func Write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, p); err != nil {
				t.Fatal(err)
			}
			continue
		}
		perm := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			perm = 0o755
		}
		if err := os.WriteFile(p, []byte(content), perm); err != nil {
			t.Fatal(err)
		}
	}
}

func sortedNames(files map[string]string) []string {
	return slices.Sorted(maps.Keys(files))
}
