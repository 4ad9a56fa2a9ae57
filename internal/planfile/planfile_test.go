package planfile

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// some is a plan that uses every field.
func some() *Plan {
	return &Plan{
		App: App{
			Name: "web", Namespace: "team", Record: "web.app", UID: "u", Labels: map[string]string{"b": "1", "a": "2"},
			Annotations: map[string]string{"x": "<&>"}, Identity: schema.Identity{ServiceAccountName: "deployer", DefaultNamespace: "d"},
		},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Strake: "v1",
		Origin: stages.Origin{Source: "https://example.com/repo", Revision: "abc"},
		Steps: []Step{{
			Name: "deploy-kapp", Plugin: "kapp", Config: json.RawMessage(`{"rawOptions": ["--x=<y>"]}`), Timeout: time.Minute,
			Manifests: "kind: ConfigMap\nname: “ü” <&>\u2028\n",
			Saved: stages.Saved{
				Changes: []stages.Change{{Op: "create", Kind: "ConfigMap", Name: "a"}},
				Writes:  []stages.Write{{Op: "create", Object: stages.ObjectRef{APIVersion: "v1", Kind: "ConfigMap", Name: "a"}, Digest: "d"}},
				Target:  "t",
			},
		}},
	}
}

func write(t *testing.T, p *Plan, s *signing.Signer) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(file, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(file, s); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	return file
}

func keys(t *testing.T) (*signing.Signer, *signing.Verifier) {
	t.Helper()
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"key": private, "pub": public} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := signing.LoadSigner(filepath.Join(dir, "key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signing.LoadVerifier(filepath.Join(dir, "pub"))
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

func TestRoundTrip(t *testing.T) {
	signer, verifier := keys(t)
	for name, c := range map[string]struct {
		signer   *signing.Signer
		verifier *signing.Verifier
	}{"plain": {}, "signed": {signer, verifier}, "signed, not verified": {signer, nil}} {
		t.Run(name, func(t *testing.T) {
			p := some()
			got, signed, err := Read(write(t, p, c.signer), c.verifier)
			if err != nil || signed != (c.signer != nil) {
				t.Fatalf("signed %t, %v", signed, err)
			}
			var plain bytes.Buffer
			if err := json.Compact(&plain, got.Steps[0].Config); err != nil {
				t.Fatal(err)
			}
			got.Steps[0].Config = plain.Bytes()
			p.Steps[0].Config = json.RawMessage(`{"rawOptions":["--x=\u003cy\u003e"]}`)
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if got.Empty() {
				t.Error("the plan is said to be empty")
			}
		})
	}
	p := some()
	p.Steps[0].Saved.Writes = nil
	if got, _, err := Read(write(t, p, nil), nil); err != nil || !got.Empty() {
		t.Errorf("expected an empty plan, %v", err)
	}
}

// No byte of a plan can be changed without being noticed.
func TestChanged(t *testing.T) {
	file := write(t, some(), nil)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for _, b := range []byte{data[i] ^ 1, ' ', '0'} {
			if b == data[i] {
				continue
			}
			other := bytes.Clone(data)
			other[i] = b
			if _, _, err := parse(file, other, nil); err == nil {
				t.Fatalf("byte %d was changed from %q to %q", i, data[i], b)
			}
		}
		if _, _, err := parse(file, append(bytes.Clone(data[:i]), data[i+1:]...), nil); err == nil {
			t.Fatalf("byte %d was left out", i)
		}
	}
}

func TestSignature(t *testing.T) {
	signer, verifier := keys(t)
	_, other := keys(t)
	unsigned, signed := write(t, some(), nil), write(t, some(), signer)
	for name, c := range map[string]struct {
		file     string
		verifier *signing.Verifier
	}{"unsigned": {unsigned, verifier}, "another's": {signed, other}} {
		var wrong *signing.VerifyError
		if _, _, err := Read(c.file, c.verifier); !errors.As(err, &wrong) || stages.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "expected a saved plan",
		"kind: Plan":           "expected a saved plan",
		`{"kind": "App"}`:      `expected strake.dev/v1alpha1 Plan, found "" "App"`,
		`{"payloadType": "x"}`: "expected an envelope of type",
		`{"apiVersion": "strake.dev/v1alpha1", "kind": "Plan", "typo": 1}`: `unknown field "typo"`,
		`{"apiVersion": "strake.dev/v1alpha1", "kind": "Plan"}`:            "its digest doesn't fit",
	} {
		_, _, err := parse("plan.json", []byte(text), nil)
		if d := (schema.Diagnostic{}); !errors.As(err, &d) || !strings.Contains(err.Error(), want) || d.Pos.File != "plan.json" {
			t.Errorf("%s: expected %q, found %v", text, want, err)
		}
	}
	if _, _, err := Read("none.json", nil); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("no file: %v", err)
	}
	if err := some().Write(filepath.Join(t.TempDir(), "none", "plan.json"), nil); err == nil {
		t.Error("no folder: no error")
	}
	p := some()
	p.Steps[0].Manifests = "\xff"
	if err := p.Write(filepath.Join(t.TempDir(), "plan.json"), nil); err == nil {
		t.Error("not UTF-8: no error")
	}
	empty := &Plan{APIVersion: schema.APIVersion, Kind: Kind}
	text, err := empty.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := parse("plan.json", text, nil); err == nil {
		t.Error("a plan without steps was read")
	}
}

func FuzzRead(f *testing.F) {
	p := some()
	p.APIVersion, p.Kind = schema.APIVersion, Kind
	p.Steps[0].Digest = stages.Manifests(p.Steps[0].Manifests).Digest()
	text, err := p.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"payloadType":"` + PayloadType + `","payload":"e30=","signatures":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, signed, err := parse("plan.json", data, nil)
		if err != nil {
			return
		}
		again, err := p.encode()
		if err != nil || !signed && !bytes.Equal(again, data) {
			t.Errorf("read what was never written: %q, %v", data, err)
		}
	})
}
