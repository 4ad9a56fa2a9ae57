package registry_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/registry"
)

func TestSummary(t *testing.T) {
	s := serve(t)
	image := func(p v1.Platform) v1.Image {
		img, err := random.Image(100, 2)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
		if img, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
		return img
	}
	size := func(img v1.Image) (n int64) {
		m, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(m.Layers, m.Config) {
			n += d.Size
		}
		return n
	}
	arm := v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	amd := v1.Platform{OS: "linux", Architecture: "amd64"}
	one, two := image(amd), image(arm)
	attestation := image(v1.Platform{OS: "unknown", Architecture: "unknown"})
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &amd}},
		mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Platform: &arm}},
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
	)
	ref := func(text string) name.Tag {
		tag, err := name.NewTag(s.host + "/" + text)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	if err := remote.Write(ref("app:one"), two); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref("app:all"), index); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		summary  registry.Summary
		requests int
	}{
		"app:one": {registry.Summary{Platforms: []string{"linux/arm64/v8"}, Size: size(two)}, 1},
		"app:all": {registry.Summary{Platforms: []string{"linux/amd64", "linux/arm64/v8"}, Size: size(one) + size(two)}, 3},
	} {
		s.seen()
		got, err := newClient(t, nil).Summary(t.Context(), ref(text))
		if err != nil || got.Size != want.summary.Size || !slices.Equal(got.Platforms, want.summary.Platforms) {
			t.Errorf("%s: %+v, %v; expected %+v", text, got, err, want.summary)
		}
		if n := len(s.seen()); n != want.requests {
			t.Errorf("%s: %d manifests were asked for, expected %d", text, n, want.requests)
		}
	}
	if _, err := newClient(t, nil).Summary(t.Context(), ref("app:none")); !registry.NotFound(err) {
		t.Errorf("error: %v", err)
	}
}

func FuzzSummarize(f *testing.F) {
	img, err := random.Image(10, 1)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := img.RawManifest()
	if err != nil {
		f.Fatal(err)
	}
	desc, err := partial.Descriptor(img)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(desc.MediaType), raw)
	f.Add("application/vnd.oci.image.index.v1+json", []byte(`{"manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:`+desc.Digest.Hex+`"}]}`))
	f.Fuzz(func(t *testing.T, mediaType string, data []byte) {
		d := *desc
		d.MediaType = "application/vnd.oci.image.index.v1+json"
		if mediaType != "" {
			d.MediaType = desc.MediaType
		}
		// Whatever is asked for is the same: an index that holds itself ends too.
		_, _ = registry.Summarize(t.Context(), d, func(context.Context, v1.Descriptor) ([]byte, error) { return data, nil })
	})
}
