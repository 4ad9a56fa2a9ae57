package provenance_test

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/provenance"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
)

func inputs() provenance.Inputs {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	return provenance.Inputs{
		App: "default/web", Stages: []string{"fetch-config vendir", "build-kbld kbld"},
		Sources: []provenance.Dependency{
			provenance.Source(schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: "src", Git: &vendirconf.LockDirectoryContentsGit{SHA: "c0ffee"}}}, "git+https://example.com/x.git"),
			provenance.Source(schema.LockedSource{LockDirectoryContents: vendirconf.LockDirectoryContents{Path: "config", Image: &vendirconf.LockDirectoryContentsImage{URL: "r.io/config@" + digest}}}, ""),
		},
		Images: []provenance.Dependency{provenance.Image("web", "r.io/web@"+digest)},
		Strake: "v1.2.3", Plugins: map[string]string{"vendir": "2", "kbld": "7"},
	}
}

const golden = `{"buildDefinition":{"buildType":"https://strake.dev/build/app/v1","externalParameters":{"app":"default/web","stages":["fetch-config vendir","build-kbld kbld"]},"resolvedDependencies":[` +
	`{"name":"config","uri":"oci://r.io/config@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","digest":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},` +
	`{"name":"src","uri":"git+https://example.com/x.git","digest":{"gitCommit":"c0ffee"}},` +
	`{"name":"web","uri":"oci://r.io/web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","digest":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}]},` +
	`"runDetails":{"builder":{"id":"https://strake.dev/strake","version":{"strake":"v1.2.3"},"builderDependencies":[{"name":"kbld","uri":"pkg:generic/strake-plugin-kbld@7"},{"name":"vendir","uri":"pkg:generic/strake-plugin-vendir@2"}]}}}`

func TestNew(t *testing.T) {
	for range 10 {
		text, err := json.Marshal(provenance.New(inputs()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(golden, string(text)); diff != "" {
			t.Fatal(diff)
		}
	}
	in := inputs()
	in.Date = time.Unix(0, 0)
	if m := provenance.New(in).RunDetails.Metadata; m == nil || m.StartedOn.Format(time.RFC3339) != "1970-01-01T00:00:00Z" {
		t.Errorf("metadata %+v", m)
	}
}

func signer(t *testing.T) (*signing.Signer, *signing.Verifier) {
	t.Helper()
	private, _, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := signing.LoadSigner(path, func() ([]byte, bool) { return nil, false })
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// A statement that is attached is read as it was, once, also beside a signature, and isn't one itself.
func TestAttach(t *testing.T) {
	key, public := signer(t)
	for kind, referrers := range map[string]bool{"referrers": true, "fallback tag": false} {
		for form, by := range map[string]*signing.Signer{"plain": nil, "signed": key} {
			t.Run(kind+"/"+form, func(t *testing.T) {
				server := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)), inprocess.WithReferrersSupport(referrers)))
				defer server.Close()
				client, err := registry.New(registry.Options{})
				if err != nil {
					t.Fatal(err)
				}
				hash, err := empty.Image.Digest()
				if err != nil {
					t.Fatal(err)
				}
				digest, err := name.NewDigest(strings.TrimPrefix(server.URL, "http://") + "/app@" + hash.String())
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Push(t.Context(), digest, empty.Image); err != nil {
					t.Fatal(err)
				}
				want := provenance.New(inputs())
				for i, written := range []bool{true, false} {
					got, err := provenance.Attach(t.Context(), client, digest, want, by)
					if err != nil || got != written {
						t.Errorf("%d: attached %t, %v", i, got, err)
					}
				}
				requirement := cosign.Requirement{Keys: []*signing.Verifier{public}}
				var wrong *signing.VerifyError
				if _, err := cosign.Verify(t.Context(), client, digest, requirement); !errors.As(err, &wrong) || !wrong.Unsigned {
					t.Errorf("provenance counts as a signature: %v", err)
				}
				if _, err := cosign.Sign(t.Context(), client, digest, key, cosign.Options{}); err != nil {
					t.Fatal(err)
				}
				found, err := provenance.Read(t.Context(), client, digest)
				if err != nil || len(found) != 1 || found[0].Signed != (by != nil) {
					t.Fatalf("found %+v, %v", found, err)
				}
				if diff := cmp.Diff(want, found[0].Statement); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}
