package buildkit_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
)

// make builds files with a source's options, BASE in them replaced, and lets change say where the image
// goes instead of to the bench's repository.
func (b bench) make(ctx context.Context, t *testing.T, files map[string]string, s buildkit.Source, change func(*buildkit.Output)) (buildkit.Result, *recorder, error) {
	t.Helper()
	dir := t.TempDir()
	b.write(t, dir, files)
	s.Root = buildkittest.Root(t, dir)
	return b.makeIn(ctx, t, s, change)
}

func (b bench) write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	filled := map[string]string{}
	for name, text := range files {
		filled[name] = strings.ReplaceAll(text, "BASE", b.base)
	}
	buildkittest.Write(t, dir, filled)
}

func (b bench) makeIn(ctx context.Context, t *testing.T, s buildkit.Source, change func(*buildkit.Output)) (buildkit.Result, *recorder, error) {
	t.Helper()
	if s.Context == "" {
		s.Context = "."
	}
	rec := &recorder{also: b.observer}
	loaded, err := buildkit.Load(ctx, s, "315532800")
	if err != nil {
		return buildkit.Result{}, rec, err
	}
	tag, err := name.NewTag(b.repo + ":" + loaded.Parts().Tag())
	if err != nil {
		t.Fatal(err)
	}
	out := buildkit.Output{
		Daemons: []buildkit.Daemon{{Address: b.address}}, Push: []name.Tag{tag}, Name: "app", Cache: t.Name(), Tag: loaded.Parts().Tag(), Temp: t.TempDir(),
	}
	if change != nil {
		change(&out)
	}
	result, err := b.client.Build(ctx, loaded, out, rec)
	return result, rec, err
}

// must fails the test when a build did.
func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b bench) ref(t *testing.T, digest string) name.Digest {
	t.Helper()
	ref, err := name.NewDigest(b.repo + "@" + digest)
	return must(t, ref, err)
}

// index returns the pushed index and the manifests that it lists.
func (b bench) index(t *testing.T, digest string) (v1.ImageIndex, []v1.Descriptor) {
	t.Helper()
	index, err := remote.Index(b.ref(t, digest))
	must(t, index, err)
	manifest, err := index.IndexManifest()
	return index, must(t, manifest, err).Manifests
}

// file returns the content of a file of an image, whose last layer with it counts.
func file(t *testing.T, img v1.Image, name string) string {
	t.Helper()
	layers, err := img.Layers()
	must(t, layers, err)
	text, found := "", false
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		must(t, r, err)
		files := tar.NewReader(r)
		for {
			h, err := files.Next()
			if err == io.EOF {
				break
			}
			must(t, h, err)
			if strings.Trim(h.Name, "/") == name {
				data, err := io.ReadAll(files)
				text, found = string(must(t, data, err)), true
			}
		}
		r.Close()
	}
	if !found {
		t.Fatalf("%s is not in the image", name)
	}
	return text
}

// everything returns all that the registry has of an image or index, layers uncompressed, as one text.
func (b bench) everything(t *testing.T, digest string) string {
	t.Helper()
	var all strings.Builder
	desc, err := remote.Get(b.ref(t, digest))
	must(t, desc, err)
	all.Write(desc.Manifest)
	images := []v1.Image{}
	if desc.MediaType.IsIndex() {
		index, manifests := b.index(t, digest)
		for _, m := range manifests {
			img, err := index.Image(m.Digest)
			images = append(images, must(t, img, err))
		}
	} else {
		images = append(images, b.image(t, digest))
	}
	for _, img := range images {
		for _, read := range []func() ([]byte, error){img.RawManifest, img.RawConfigFile} {
			data, err := read()
			all.Write(must(t, data, err))
		}
		layers, err := img.Layers()
		for _, layer := range must(t, layers, err) {
			r, err := layer.Compressed()
			must(t, r, err)
			data, err := io.ReadAll(r)
			// Otherwise the library lets only a few layers be read.
			r.Close()
			must(t, data, err)
			if z, err := gzip.NewReader(strings.NewReader(string(data))); err == nil {
				if data, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			all.Write(data)
		}
	}
	return all.String()
}

// told returns all events as one text.
func (r *recorder) told(t *testing.T) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	data, err := json.Marshal(r.events)
	return string(must(t, data, err))
}
