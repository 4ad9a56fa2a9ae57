package artifact_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A published is an artifact with a signature, a referrer and an image that is signed as well.
type published struct {
	tag   name.Tag
	image name.Digest
	ref   name.Digest
}

func signature(t *testing.T, text string) v1.Image {
	t.Helper()
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer([]byte("payload"), "application/vnd.dev.cosign.simplesigning.v1+json"), Annotations: map[string]string{"dev.cosignproject.cosign/signature": text},
	})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func sigTag(d name.Digest) string { return strings.Replace(d.DigestStr(), ":", "-", 1) + ".sig" }

func publish(t *testing.T, p *place) published {
	t.Helper()
	index, err := random.Index(100, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	app := p.tag(t, "images/app:1")
	if err := p.client.Push(t.Context(), app, index); err != nil {
		t.Fatal(err)
	}
	out := published{tag: p.tag(t, "config:1.0.0"), image: app.Context().Digest(hash.String())}
	pushed := p.push(t, pack(t, artifact.Package{Manifests: []byte(manifests), Images: []schema.LockedImage{{Image: out.image.Name(), Annotations: map[string]string{schema.AnnotationImageID: app.Name()}}}}), out.tag)
	out.ref = pushed.Ref
	desc, err := p.client.Head(t.Context(), pushed.Ref)
	if err != nil {
		t.Fatal(err)
	}
	referrer, ok := mutate.Subject(signature(t, "referrer"), *desc).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	digest, err := referrer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for ref, image := range map[name.Reference]v1.Image{
		out.tag.Digest(digest.String()): referrer, out.tag.Tag(sigTag(out.ref)): signature(t, "config"), app.Tag(sigTag(out.image)): signature(t, "app"),
	} {
		if err := p.client.Push(t.Context(), ref, image); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func location(t *testing.T, text string) artifact.Location {
	t.Helper()
	l, err := artifact.ParseLocation(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func options(image name.Digest) artifact.CopyOptions {
	return artifact.CopyOptions{
		Images: true, Say: func(string) {},
		ImageRefs: func(context.Context, *artifact.Artifact) ([]string, error) { return []string{image.Name()}, nil },
	}
}

// TestCopy brings an artifact to another registry, directly and through layouts and archives, and checks
// that all of it is there and still the same.
func TestCopy(t *testing.T) {
	from := newPlace(t)
	p := publish(t, from)
	for _, by := range []string{"", "layout:", "archive:"} {
		t.Run(strings.TrimSuffix(by+"copy", ":"), func(t *testing.T) {
			to := newPlace(t)
			source, target := location(t, artifact.URL(p.tag)), location(t, "oci://"+to.host+"/mirror/config")
			if by != "" {
				between := location(t, by+filepath.Join(t.TempDir(), "out"))
				copied, err := artifact.Copy(t.Context(), from.client, source, between, options(p.image))
				if err != nil || copied.Images != 1 || copied.Signatures != 2 || copied.Referrers != 1 {
					t.Fatalf("%+v, %v", copied, err)
				}
				if _, err := artifact.Copy(t.Context(), from.client, source, between, options(p.image)); err == nil || !strings.Contains(err.Error(), "exists already") {
					t.Errorf("a second time: %v", err)
				}
				source = between
			}
			client := to.client
			copied, err := artifact.Copy(t.Context(), client, source, target, options(p.image))
			if err != nil || copied.Digest != p.ref.DigestStr() || copied.Images != 1 || copied.Signatures != 2 || copied.Referrers != 1 {
				t.Fatalf("%+v, %v", copied, err)
			}
			a, err := artifact.Pull(t.Context(), client, to.tag(t, "mirror/config:1.0.0"), artifact.Options{})
			if err != nil || a.Ref.DigestStr() != p.ref.DigestStr() {
				t.Fatalf("%+v, %v", a, err)
			}
			moved, err := a.Relocated(t.Context(), client, []string{p.image.Name()})
			if err != nil || moved[p.image.Name()] != to.host+"/mirror/config@"+p.image.DigestStr() {
				t.Errorf("%v, %v", moved, err)
			}
			repo := to.tag(t, "mirror/config:x").Context()
			for _, tag := range []string{sigTag(p.ref), sigTag(p.image)} {
				if _, err := client.Head(t.Context(), repo.Tag(tag)); err != nil {
					t.Errorf("%s: %v", tag, err)
				}
			}
			if list, err := client.Referrers(t.Context(), repo.Digest(p.ref.DigestStr())); err != nil || len(list) != 1 {
				t.Errorf("referrers %v, %v", list, err)
			}
			before := to.uploads.Load()
			if _, err := artifact.Copy(t.Context(), client, source, target, options(p.image)); err != nil || to.uploads.Load() != before {
				t.Errorf("copied again: %d uploads, %v", to.uploads.Load()-before, err)
			}
		})
	}
}

// TestCopyKeepsSignatures checks that signatures which the target has are kept.
func TestCopyKeepsSignatures(t *testing.T) {
	from, to := newPlace(t), newPlace(t)
	p := publish(t, from)
	tag := to.tag(t, "config:1").Context().Tag(sigTag(p.ref))
	if err := to.client.Push(t.Context(), tag, signature(t, "theirs")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := artifact.Copy(t.Context(), from.client, location(t, artifact.URL(p.tag)), location(t, "oci://"+to.host+"/config"), options(p.image)); err != nil {
			t.Fatal(err)
		}
	}
	desc, err := to.client.Get(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	image, err := desc.Image()
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, l := range m.Layers {
		found = append(found, l.Annotations["dev.cosignproject.cosign/signature"])
	}
	if !slices.Equal(found, []string{"theirs", "config"}) {
		t.Errorf("signatures %v", found)
	}
}

// TestBadLayouts checks that damaged and hostile archives are refused before anything is uploaded.
func TestBadLayouts(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	from, to := newPlace(t), newPlace(t)
	p := publish(t, from)
	good := filepath.Join(t.TempDir(), "good.tar")
	if _, err := artifact.Copy(t.Context(), from.client, location(t, artifact.URL(p.tag)), location(t, "archive:"+good), options(p.image)); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		change func(*tar.Header, []byte) []byte
		want   string
	}{
		"outside": {func(h *tar.Header, b []byte) []byte { h.Name = "../" + h.Name; return b }, "is no part of an OCI layout"},
		"link": {func(h *tar.Header, _ []byte) []byte {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
			return nil
		}, "is no part of an OCI layout"},
		"manifest": {func(h *tar.Header, b []byte) []byte {
			if strings.HasSuffix(h.Name, p.ref.DigestStr()[7:]) {
				b[len(b)/2] ^= 1
			}
			return b
		}, "manifest sha256:"},
		"no index": {func(h *tar.Header, b []byte) []byte {
			if h.Name == "index.json" {
				return []byte("{")
			}
			return b
		}, "index.json: "},
		"no artifact": {func(h *tar.Header, b []byte) []byte {
			if h.Name == "index.json" {
				return []byte(strings.ReplaceAll(string(b), `"artifact"`, `"image"`))
			}
			return b
		}, "expected one artifact"},
	} {
		t.Run(what, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.tar")
			rewrite(t, good, bad, c.change)
			_, err := artifact.Copy(t.Context(), to.client, location(t, "archive:"+bad), location(t, "oci://"+to.host+"/config"), options(p.image))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), bad) {
				t.Errorf("expected %q, found %v", c.want, err)
			}
		})
	}
	if n := to.uploads.Load(); n > 0 {
		t.Errorf("%d uploads", n)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "strake-archive-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func rewrite(t *testing.T, from, to string, change func(*tar.Header, []byte) []byte) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	file, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out, archive := tar.NewWriter(file), tar.NewReader(in)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		text = change(h, text)
		h.Size = int64(len(text))
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWrite(t *testing.T) {
	p := newPlace(t)
	tag := p.tag(t, "app:1")
	p.push(t, pack(t, artifact.Package{Manifests: []byte(manifests)}), tag)
	a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "deep", "out")
	for range 2 {
		if err := artifact.Write(t.Context(), a, folder); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(filepath.Join(folder, "all.yaml")); err != nil || string(text) != manifests {
			t.Fatalf("%q, %v", text, err)
		}
		a.Files["sub/x.yaml"] = []byte("x")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	a.Files["all.yaml"] = []byte("new")
	if err := artifact.Write(canceled, a, folder); err == nil {
		t.Error("wrote after the context had ended")
	}
	if text, err := os.ReadFile(filepath.Join(folder, "all.yaml")); err != nil || string(text) != manifests {
		t.Errorf("half written: %q, %v", text, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(folder)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := artifact.Write(t.Context(), a, other); err == nil || stages.Hint(err) == "" {
		t.Errorf("a folder of somebody else's: %v", err)
	}
}
