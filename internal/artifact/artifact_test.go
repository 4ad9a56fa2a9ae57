package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
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

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const manifests = `apiVersion: v1
data:
  a: "1"
kind: ConfigMap
metadata:
  name: a
---
`

// A place is a registry in this process that counts uploads.
type place struct {
	host    string
	client  *registry.Client
	uploads atomic.Int64
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{}
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodPatch {
			p.uploads.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.host = strings.TrimPrefix(server.URL, "http://")
	var err error
	if p.client, err = registry.New(registry.Options{}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) tag(t *testing.T, text string) name.Tag {
	t.Helper()
	tag, err := artifact.ParseTag("oci://" + p.host + "/" + text)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func (p *place) push(t *testing.T, image v1.Image, tags ...name.Tag) artifact.Pushed {
	t.Helper()
	pushed, err := artifact.Push(t.Context(), p.client, image, tags...)
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

func pack(t *testing.T, p artifact.Package) v1.Image {
	t.Helper()
	if p.Format == "" {
		p.Format = artifact.FormatArtifact
	}
	image, err := artifact.Pack(p)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func locked() []schema.LockedImage {
	return artifact.Locked([]string{"example.com/app@sha256:" + strings.Repeat("a", 64), "busybox:1"})
}

// TestRoundTrip pushes and pulls both forms, and checks that pushing again uploads nothing.
func TestRoundTrip(t *testing.T) {
	p := newPlace(t)
	date := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for form, c := range map[string]struct{ format, kind, file string }{
		"artifact": {artifact.FormatArtifact, artifact.KindStrake, "all.yaml"},
		"bundle":   {artifact.FormatBundle, artifact.KindBundle, "config/all.yaml"},
	} {
		t.Run(form, func(t *testing.T) {
			pkg := artifact.Package{Format: c.format, Manifests: []byte(manifests), Images: locked(), Date: date, Source: "https://git/x", Revision: "main@sha1:1"}
			tags := []name.Tag{p.tag(t, form+":1"), p.tag(t, form+":latest")}
			first := p.push(t, pack(t, pkg), tags...)
			if first.Unchanged {
				t.Error("the first push is said to be unchanged")
			}
			before := p.uploads.Load()
			again := p.push(t, pack(t, pkg), tags...)
			if !again.Unchanged || again.Ref != first.Ref || p.uploads.Load() != before {
				t.Errorf("pushed again: %+v after %+v, %d uploads", again, first, p.uploads.Load()-before)
			}
			a, err := artifact.Pull(t.Context(), p.client, tags[1], artifact.Options{Verify: func(_ context.Context, d name.Digest) error {
				if d != first.Ref {
					t.Errorf("verified %s", d)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != c.kind || a.Ref != first.Ref || a.Source != pkg.Source || a.Revision != pkg.Revision || a.Created != "2026-01-02T03:04:05Z" {
				t.Errorf("pulled %+v", a)
			}
			if string(a.Files[c.file]) != manifests {
				t.Errorf("files %q", a.Files)
			}
			if diff := cmp.Diff(locked(), a.Images, cmpopts.IgnoreUnexported(schema.LockedImage{})); diff != "" {
				t.Error(diff)
			}
			streams, err := a.Manifests(t.Context(), nil)
			if err != nil || len(streams) != 1 || string(streams[0].Text) != manifests {
				t.Errorf("manifests %q, %v", streams, err)
			}
		})
	}
}

// TestVerifiedFirst checks that what isn't verified isn't read.
func TestVerifiedFirst(t *testing.T) {
	p := newPlace(t)
	tag := p.tag(t, "app:1")
	p.push(t, pack(t, artifact.Package{Manifests: []byte(manifests)}), tag)
	no := errors.New("no")
	if a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{Verify: func(context.Context, name.Digest) error { return no }}); !errors.Is(err, no) || a != nil {
		t.Errorf("%v, %v", a, err)
	}
}

func keys(t *testing.T) (recipients []age.Recipient, identities []age.Identity) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"key": "# created\n" + identity.String() + "\n", "pub": identity.Recipient().String() + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if recipients, err = artifact.Recipients(filepath.Join(dir, "pub")); err != nil {
		t.Fatal(err)
	}
	if identities, err = artifact.Identities(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.Identities(filepath.Join(dir, "pub")); err == nil || strings.Contains(err.Error(), "age1") {
		t.Errorf("a public key taken for a private one: %v", err)
	}
	return recipients, identities
}

// TestEncrypted checks that encrypted content needs the key, and says nothing of the plain text.
func TestEncrypted(t *testing.T) {
	p := newPlace(t)
	recipients, identities := keys(t)
	_, others := keys(t)
	sealed, err := artifact.Encrypt([]byte(manifests), recipients)
	if err != nil {
		t.Fatal(err)
	}
	tag := p.tag(t, "app:1")
	p.push(t, pack(t, artifact.Package{Manifests: sealed, Encrypted: true}), tag)
	a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{Identities: identities})
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Files["all.yaml"]) != manifests || a.Checksum != content.Checksum(sealed) || !a.Encrypted {
		t.Errorf("%+v", a)
	}
	for want, ids := range map[string][]age.Identity{"the content is encrypted": nil, "for other keys": others} {
		if _, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{Identities: ids}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d identities: %v", len(ids), err)
		}
	}
}

func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, h := range headers {
		text := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(text)), ""
		}
		h.Mode = 0o644
		if err := out.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(out, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// theirs makes an artifact as another tool could.
func theirs(t *testing.T, config, layer types.MediaType, blob []byte, annotations map[string]string) v1.Image {
	t.Helper()
	image, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), config),
		mutate.Addendum{Layer: static.NewLayer(blob, layer), MediaType: layer})
	if err != nil {
		t.Fatal(err)
	}
	with, ok := mutate.Annotations(image, annotations).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	return with
}

const (
	fluxConfig  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	fluxContent types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// TestForeign reads what Flux, Kustomizer and imgpkg make.
func TestForeign(t *testing.T) {
	p := newPlace(t)
	reg := func(name, text string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text}
	}
	one := func(n string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + n + "}\n" }
	for name, c := range map[string]struct {
		image v1.Image
		kind  string
		want  []string
	}{
		"flux files": {
			theirs(t, fluxConfig, fluxContent, tarOf(t, tar.Header{Typeflag: tar.TypeDir, Name: "./sub/"}, reg("./sub/b.yaml", one("b")), reg("a.yml", one("a")), reg(".hidden/x.yaml", "x: y"), reg("README.md", "# x")), nil),
			artifact.KindFlux,
			[]string{"ConfigMap/a", "ConfigMap/b"},
		},
		"flux kustomization": {
			theirs(t, fluxConfig, fluxContent, tarOf(t, reg("kustomization.yaml", "resources: [a.yaml]\nnamePrefix: x-\n"), reg("a.yaml", one("a")), reg("b.yaml", one("b"))), nil),
			artifact.KindFlux,
			[]string{"ConfigMap/x-a"},
		},
		"kustomizer": {
			theirs(t, types.DockerConfigJSON, types.DockerLayer, tarOf(t, reg("all.yaml", one("k"))), map[string]string{
				"kustomizer.dev/version": "2.2.1", "kustomizer.dev/created": "2022-01-01T00:00:00Z", "kustomizer.dev/checksum": content.Checksum([]byte(one("k"))),
			}), artifact.KindKustomizer, []string{"ConfigMap/k"},
		},
		"imgpkg image": {theirs(t, types.DockerConfigJSON, types.DockerLayer, tarOf(t, reg("a.yaml", one("i"))), nil), artifact.KindImage, []string{"ConfigMap/i"}},
	} {
		t.Run(name, func(t *testing.T) {
			tag := p.tag(t, strings.ReplaceAll(name, " ", "-")+":1")
			p.push(t, c.image, tag)
			a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{})
			if err != nil {
				t.Fatal(err)
			}
			streams, err := a.Manifests(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			set, err := content.Load(t.Context(), content.Inputs{Streams: streams})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range set.Objects {
				names = append(names, content.Name(o))
			}
			if diff := cmp.Diff(c.want, names); diff != "" || a.Kind != c.kind {
				t.Errorf("kind %s\n%s", a.Kind, diff)
			}
		})
	}
}

// TestRefused checks that what is no artifact, or has been tampered with, is refused with its reason.
func TestRefused(t *testing.T) {
	p := newPlace(t)
	reg := func(name, text string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text}
	}
	annotations := func(more ...string) map[string]string {
		m := map[string]string{"kustomizer.dev/version": "2", "kustomizer.dev/created": "x", "kustomizer.dev/checksum": content.Checksum([]byte(manifests))}
		for n := 0; n < len(more); n += 2 {
			m[more[n]] = more[n+1]
		}
		return m
	}
	good := tarOf(t, reg("all.yaml", manifests))
	for name, c := range map[string]struct {
		image v1.Image
		want  string
	}{
		"checksum":   {theirs(t, fluxConfig, fluxContent, tarOf(t, reg("all.yaml", manifests+" ")), annotations()), "the content doesn't have the checksum"},
		"no version": {theirs(t, fluxConfig, fluxContent, good, annotations("kustomizer.dev/version", "")), "annotation kustomizer.dev/version is missing"},
		"encryption": {theirs(t, fluxConfig, fluxContent, good, annotations("kustomizer.dev/encrypted", "rot13")), "expected age-encryption.org/v1"},
		"two files":  {theirs(t, fluxConfig, fluxContent, tarOf(t, reg("all.yaml", manifests), reg("b.yaml", "")), annotations()), "expected one file, found 2"},
		"no layer":   {annotated(t, mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), fluxConfig)), "has no layers"},
		"other":      {theirs(t, "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", good, nil), "expected an artifact of strake, Kustomizer, Flux or imgpkg"},
		"outside":    {theirs(t, fluxConfig, fluxContent, tarOf(t, reg("../../etc/x", "")), nil), `entry "../../etc/x" leads out of the artifact`},
		"absolute":   {theirs(t, fluxConfig, fluxContent, tarOf(t, reg("/etc/x", "")), nil), `entry "/etc/x" leads out of the artifact`},
		"link":       {theirs(t, fluxConfig, fluxContent, tarOf(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc"}), nil), `entry "l" is neither a file nor a folder`},
		"device":     {theirs(t, fluxConfig, fluxContent, tarOf(t, tar.Header{Typeflag: tar.TypeChar, Name: "d"}), nil), `entry "d" is neither`},
		"twice":      {theirs(t, fluxConfig, fluxContent, tarOf(t, reg("a", ""), reg("./a", "")), nil), `entry "./a" is there twice`},
		"no archive": {theirs(t, fluxConfig, fluxContent, []byte("text"), nil), "unexpected EOF"},
		"cut off":    {theirs(t, fluxConfig, fluxContent, good[:len(good)-6], nil), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			tag := p.tag(t, strings.ReplaceAll(name, " ", "-")+":1")
			p.push(t, c.image, tag)
			a, err := artifact.Pull(t.Context(), p.client, tag, artifact.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), tag.Name()) {
				t.Errorf("expected %q, found %v, %v", c.want, a, err)
			}
		})
	}
	_, err := artifact.Pull(t.Context(), p.client, p.tag(t, "none:1"), artifact.Options{})
	if err == nil || !strings.Contains(err.Error(), "there is no such artifact") || stages.Hint(err) == "" {
		t.Errorf("missing: %v", err)
	}
}

func annotated(t *testing.T, image v1.Image) v1.Image {
	t.Helper()
	with, ok := mutate.Annotations(image, map[string]string{"a": "b"}).(v1.Image)
	if !ok {
		t.Fatal("no image")
	}
	return with
}

func TestList(t *testing.T) {
	p := newPlace(t)
	image := pack(t, artifact.Package{Manifests: []byte(manifests)})
	for _, tag := range []string{
		"1.0.0", "v1.10.0", "1.2.0", "2.0.0-rc.1", "latest", "main", "sha256-" + strings.Repeat("a", 64), "sha256-" + strings.Repeat("a", 64) + ".sig",
		"sha256-" + strings.Repeat("b", 64) + ".image-locations.imgpkg", "sha256-short",
	} {
		p.push(t, image, p.tag(t, "app:"+tag))
	}
	repo, err := artifact.ParseRepository("oci://" + p.host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	for within, want := range map[string][]string{
		"": {"2.0.0-rc.1", "v1.10.0", "1.2.0", "1.0.0", "latest", "main", "sha256-short"}, "1.x": {"v1.10.0", "1.2.0", "1.0.0"},
		">1.5.0-0": {"2.0.0-rc.1", "v1.10.0"}, "~1.2": {"1.2.0"},
	} {
		got, err := artifact.List(t.Context(), p.client, repo, within)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", within, err, diff)
		}
	}
	if _, err := artifact.List(t.Context(), p.client, repo, "one"); err == nil {
		t.Error("expected an error for a bad range")
	}
}

func TestTag(t *testing.T) {
	p := newPlace(t)
	one, two := pack(t, artifact.Package{Manifests: []byte(manifests)}), pack(t, artifact.Package{Manifests: []byte(manifests + manifests)})
	first := p.push(t, one, p.tag(t, "app:1"))
	p.push(t, two, p.tag(t, "app:2"))
	digest, err := artifact.Tag(t.Context(), p.client, p.tag(t, "app:1"), true, "latest", "stable")
	if err != nil || digest != first.Ref {
		t.Fatalf("%v, %v", digest, err)
	}
	for _, tag := range []string{"latest", "stable"} {
		if d, err := artifact.Resolve(t.Context(), p.client, p.tag(t, "app:"+tag)); err != nil || d != first.Ref {
			t.Errorf("%s: %v, %v", tag, d, err)
		}
	}
	if _, err := artifact.Tag(t.Context(), p.client, p.tag(t, "app:2"), true, "new", "latest"); err == nil || !strings.Contains(err.Error(), "names sha256:") {
		t.Errorf("a tag was moved: %v", err)
	}
	if _, err := artifact.Resolve(t.Context(), p.client, p.tag(t, "app:new")); err == nil {
		t.Error("a tag was made although another can't be")
	}
	if _, err := artifact.Tag(t.Context(), p.client, p.tag(t, "app:2"), false, "latest"); err != nil {
		t.Error(err)
	}
}

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"oci://ghcr.io/org/app:v1": "ghcr.io/org/app:v1", "oci://localhost:5000/app": "localhost:5000/app:latest",
		"oci://ghcr.io/org/app:v1@sha256:" + strings.Repeat("a", 64): "ghcr.io/org/app@sha256:" + strings.Repeat("a", 64),
	} {
		ref, err := artifact.ParseURL(url)
		if err != nil || ref.Name() != want {
			t.Errorf("%s: %v, %v", url, ref, err)
		}
	}
	for _, url := range []string{"", "oci://", "ghcr.io/org/app:v1", "https://ghcr.io/x", "oci://GHCR/UPPER:1", "oci://a/b:c d", "oci://a/b@sha256:12"} {
		if _, err := artifact.ParseURL(url); err == nil || stages.Hint(err) == "" {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := artifact.ParseTag("oci://a/b@sha256:" + strings.Repeat("a", 64)); err == nil {
		t.Error("a digest to push to")
	}
}
