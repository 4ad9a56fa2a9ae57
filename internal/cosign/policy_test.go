package cosign_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const policyHead = "apiVersion: strake.dev/v1alpha1\nkind: SignaturePolicy\nspec:\n  rules:\n"

func writePolicy(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPolicy(t *testing.T) {
	a, b, c := newPair(t), newPair(t), newPair(t)
	data, err := os.ReadFile(b.public)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, true)
	text := policyHead + fmt.Sprintf(`  - {match: ["%[1]s/team/*"], keys: [{file: %[2]s}, {data: %[3]q}]}
  - {match: ["%[1]s/both/**"], keys: [{file: %[2]s}, {data: %[3]q}, {secretRef: {name: signers}}], atLeast: 2}
  - {match: ["%[1]s/open", docker.io/library/*], unsigned: true}
  - {match: ["%[1]s/c/**"], keys: [{secretRef: {name: signers}}]}
`, p.host, a.public, data)
	secrets := func(_ context.Context, name string) (map[string][]byte, error) {
		public, err := os.ReadFile(c.public)
		return map[string][]byte{"cosign.pub": public, "cosign.key": []byte("private")}, err
	}
	policy, err := cosign.LoadPolicy(t.Context(), writePolicy(t, text), secrets)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		repo string
		by   []pair
		// want is the refusal; empty if it is let in.
		want     string
		unsigned bool
	}{
		"first key":       {"team/x", []pair{a}, "", false},
		"second key":      {"team/y", []pair{b}, "", false},
		"other key":       {"team/z", []pair{c}, "none of its signatures", false},
		"no signature":    {"team/u", nil, "it isn't signed", true},
		"star, no slash":  {"team/x/y", []pair{a}, "no rule of policy", false},
		"two of three":    {"both/x/y", []pair{a, c}, "", false},
		"one of three":    {"both/z", []pair{c}, "it is signed by secret signers, cosign.pub", false},
		"allowed":         {"open", nil, "", false},
		"no rule":         {"opens", nil, "no rule of policy", false},
		"key of a Secret": {"c/x", []pair{c}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			digest := p.push(t, test.repo, name)
			for _, k := range test.by {
				sign(t, p, digest, k, cosign.Both)
			}
			_, err := policy.Verify(t.Context(), p.client, digest)
			var wrong *signing.VerifyError
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.As(err, &wrong) || wrong.Unsigned != test.unsigned || !strings.Contains(err.Error(), test.want)):
				t.Errorf("expected a refusal with %q, found %v", test.want, err)
			}
		})
	}
	hub, err := name.NewRepository("busybox")
	if err != nil {
		t.Fatal(err)
	}
	if _, wanted, err := policy.For(hub); err != nil || wanted {
		t.Errorf("docker.io: %t, %v", wanted, err)
	}
}

func TestBadPolicies(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no rules":      {"apiVersion: strake.dev/v1alpha1\nkind: SignaturePolicy\nspec: {}\n", "policy.yaml:3:7: spec.rules: missing, but required"},
		"other kind":    {"apiVersion: strake.dev/v1alpha1\nkind: App\nspec: {rules: []}\n", `policy.yaml:2:7: kind: expected one of SignaturePolicy, found "App"`},
		"unknown field": {policyHead + "  - {match: [a/b], key: []}\n", "policy.yaml:5:20: spec.rules[0].key: unknown field (did you mean keys?)"},
		"nobody":        {policyHead + "  - {match: [a/b]}\n", "policy.yaml:5:5: spec.rules[0]: expected either keys or unsigned: true"},
		"both":          {policyHead + "  - {match: [a/b], unsigned: true, keys: [{file: x}]}\n", "expected either keys or unsigned: true"},
		"too many":      {policyHead + "  - {match: [a/b], keys: [{file: x}], atLeast: 2}\n", "spec.rules[0].atLeast: expected a number from 1 to that of the keys, 1, found 2"},
		"a tag's place": {policyHead + "  - {match: ['oci://a/b'], unsigned: true}\n", "spec.rules[0].match[0]: expected a pattern of repositories"},
		"two sources":   {policyHead + "  - {match: [a/b], keys: [{file: x, data: y}]}\n", "spec.rules[0].keys[0]: expected one of file, data and secretRef"},
		"no key":        {policyHead + "  - {match: [a/b], keys: [{file: missing.pub}]}\n", "missing.pub: no such file"},
		"no PEM":        {policyHead + "  - {match: [a/b], keys: [{data: hello}]}\n", "data of keys[0]: expected one key in PEM"},
		"a Secret":      {policyHead + "  - {match: [a/b], keys: [{secretRef: {name: s}}]}\n", "secret s: Secrets are only there for the verify stage"},
		"two documents": {policyHead + "  - {match: [a/b], unsigned: true}\n---\na: 1\n", "expected one document, found 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cosign.LoadPolicy(t.Context(), writePolicy(t, test.text), cosign.NoSecrets)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("expected %q, found %v (%s)", test.want, err, stages.Hint(err))
			}
		})
	}
}

func FuzzLoadSignaturePolicy(f *testing.F) {
	f.Add([]byte(policyHead + "  - {match: [a/b], keys: [{file: x}], atLeast: 1}\n"))
	f.Add([]byte(policyHead + "  - {match: ['**'], unsigned: true}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := schema.LoadSignaturePolicy("policy.yaml", data)
		if err != nil {
			return
		}
		for _, r := range p.Spec.Rules {
			if (len(r.Keys) > 0) == r.Unsigned || len(r.Match) == 0 {
				t.Errorf("accepted %+v", r)
			}
		}
	})
}
