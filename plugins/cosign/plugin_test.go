package cosign_test

import (
	"crypto/elliptic"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	sigs "strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/plugins/cosign"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

type world struct {
	host   string
	client *registry.Client
	signer *signing.Signer
	// public and other are keys: the signer's, and another.
	public, other string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	w := &world{host: strings.TrimPrefix(server.URL, "http://")}
	var err error
	if w.client, err = registry.New(registry.Options{FirstWait: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cosign.key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	if w.signer, err = signing.LoadSigner(path, func() ([]byte, bool) { return nil, false }); err != nil {
		t.Fatal(err)
	}
	w.public, w.other = string(public), string(other)
	return w
}

// image pushes an image, signs it if that is asked for, and returns it by its digest.
func (w *world) image(t *testing.T, repo string, signed bool) string {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(repo), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(w.host + "/" + repo + "@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.client.Push(t.Context(), ref, image); err != nil {
		t.Fatal(err)
	}
	if signed {
		if _, err := sigs.Sign(t.Context(), w.client, ref, w.signer, sigs.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	return ref.String()
}

func fetched(sources ...schema.LockedSource) func(testing.TB, *stages.Job) {
	return func(_ testing.TB, job *stages.Job) { job.Fetched = sources }
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	signed, unsigned := w.image(t, "signed", true), w.image(t, "unsigned", false)
	image := func(path, url string) schema.LockedSource {
		return schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: path, Image: &vendirconf.LockDirectoryContentsImage{URL: url}}}
	}
	bundle := schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: "bundle", ImgpkgBundle: &vendirconf.LockDirectoryContentsImgpkgBundle{Image: signed}}}
	git := schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: "src", Git: &vendirconf.LockDirectoryContentsGit{SHA: "1"}}}
	sources := fetched(image("config", signed), bundle, image("other", unsigned), git)
	keys := map[string]string{"cosign.pub": w.public, "other.pub": w.other}
	policy := "apiVersion: strake.dev/v1alpha1\nkind: SignaturePolicy\nspec:\n  rules:\n" +
		fmt.Sprintf("  - {match: [%s/signed], keys: [{file: cosign.pub}]}\n  - {match: ['%s/un*'], unsigned: true}\n", w.host, w.host)
	pod := func(image string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: " + image + "}]}\n---\n"
	}
	const custom = "apiVersion: example.com/v1\nkind: Runner\nmetadata: {name: r}\nspec: {image: %q}\n"
	stagetest.Run(t, cosign.Plugin(cosign.Deps{Registry: w.client}),
		stagetest.Case{Name: "signed sources", Config: "{paths: [config, ./bundle], key: cosign.pub}", Beside: keys, Setup: sources},
		stagetest.Case{
			Name: "key of a Secret", Config: "{paths: [config], keyRef: {name: signers}}", Setup: sources,
			Objects: stagetest.Objects{Secrets: map[string]map[string]string{"signers": {"ca.crt": w.public}}},
		},
		stagetest.Case{Name: "unsigned source", Config: "{paths: [config, other], key: cosign.pub}", Beside: keys, Setup: sources, WantError: "source other: " + unsigned + ": it isn't signed"},
		stagetest.Case{Name: "other key", Config: "{paths: [config], key: other.pub}", Beside: keys, Setup: sources, WantError: "none of its signatures is by "},
		stagetest.Case{Name: "two keys wanted", Config: "{paths: [config], keys: [{file: cosign.pub}, {file: other.pub}], atLeast: 2}", Beside: keys, Setup: sources, WantError: "it is signed by "},
		stagetest.Case{Name: "git", Config: "{paths: [src], key: cosign.pub}", Beside: keys, Setup: sources, WantError: "paths: src: its source can't be verified", WantHint: "image and imgpkgBundle"},
		stagetest.Case{Name: "no such path", Config: "{paths: [confg], key: cosign.pub}", Beside: keys, Setup: sources, WantError: "no source was fetched to it", WantHint: "config, bundle, other, src"},
		stagetest.Case{
			Name: "policy", Config: "{paths: [config, other], policyFile: policy.yaml}", Setup: sources,
			Beside: map[string]string{"cosign.pub": w.public, "policy.yaml": policy},
		},
		stagetest.Case{Name: "images", Config: "{images: true, key: cosign.pub}", Beside: keys, Manifests: pod(signed) + fmt.Sprintf(custom, signed)},
		stagetest.Case{
			Name: "image of a custom resource", Config: "{images: true, key: cosign.pub}", Beside: keys,
			Manifests: pod(signed) + fmt.Sprintf(custom, unsigned), WantError: "runner/r: " + unsigned + ": it isn't signed",
		},
		stagetest.Case{
			Name: "image without digest", Config: "{images: true, key: cosign.pub}", Beside: keys,
			Manifests: pod("nginx:1"), WantError: "pod/web: image nginx:1 has no digest", WantHint: "build stage",
		},
		stagetest.Case{
			Name: "image that isn't built yet", Config: "{images: true, key: cosign.pub}", Beside: keys, Manifests: pod("nginx:1"),
			Setup: func(_ testing.TB, job *stages.Job) { job.Provisional = true },
		},
	)
}

// All that is to be refused is told at once.
func TestAllFindings(t *testing.T) {
	w := newWorld(t)
	a, b := w.image(t, "one", false), w.image(t, "two", false)
	plugin := cosign.Plugin(cosign.Deps{Registry: w.client})
	manifests := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{image: %q}, {image: %q}]}\n", a, b)
	job := stagetest.NewJob(t, stagetest.Case{Manifests: manifests, Beside: map[string]string{"cosign.pub": w.public}})
	_, err := stagetest.Bind(t, plugin, "{images: true, key: cosign.pub}").Run(t.Context(), job)
	if err == nil || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("expected both images to be refused, found %v", err)
	}
}

func TestBadConfigs(t *testing.T) {
	stagetest.RunBad(
		t, cosign.Plugin(cosign.Deps{}),
		stagetest.BadConfig{Name: "nothing", Config: "{key: a}", Want: "expected either paths or images: true"},
		stagetest.BadConfig{Name: "both", Config: "{key: a, paths: [b], images: true}", Want: "expected either paths or images: true"},
		stagetest.BadConfig{Name: "nobody", Config: "{images: true}", Want: "expected one of key, keys, keyRef and policyFile"},
		stagetest.BadConfig{Name: "two", Config: "{images: true, key: a, policyFile: b}", Want: "expected one of key, keys, keyRef and policyFile"},
		stagetest.BadConfig{Name: "too many", Config: "{images: true, key: a, atLeast: 2}", Want: "expected a number from 1"},
		stagetest.BadConfig{Name: "outside", Config: "{paths: [../x], key: a}", Want: "leads out of the App's folder"},
	)
}
