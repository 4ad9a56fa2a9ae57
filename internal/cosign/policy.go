package cosign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Policy says who must have signed what, by repository.
type Policy struct {
	// file names the policy in messages.
	file  string
	rules []rule
}

type rule struct {
	match       []*regexp.Regexp
	requirement Requirement
	unsigned    bool
}

// maxPolicy is how large a policy's file may be, in bytes.
const maxPolicy = 1 << 20

// Secrets returns the values of a Secret.
type Secrets func(ctx context.Context, name string) (map[string][]byte, error)

// NoSecrets is for policies that are used without an App.
func NoSecrets(_ context.Context, name string) (map[string][]byte, error) {
	return nil, stages.WithHint(fmt.Errorf("secret %s: Secrets are only there for the verify stage of an App", name), "name the key by file or data")
}

// LoadPolicy reads a policy, a schema.SignaturePolicy, with its keys.
func LoadPolicy(ctx context.Context, file string, secrets Secrets) (*Policy, error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > maxPolicy {
		err = fmt.Errorf("%s: expected a policy, found %d bytes", file, info.Size())
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text, err := schema.LoadSignaturePolicy(file, data)
	if err != nil {
		return nil, err
	}
	p := &Policy{file: file}
	for _, r := range text.Spec.Rules {
		bound := rule{unsigned: r.Unsigned, requirement: Requirement{AtLeast: r.AtLeast}}
		for _, pattern := range r.Match {
			bound.match = append(bound.match, compile(pattern))
		}
		if bound.requirement.Keys, err = Keys(ctx, filepath.Dir(file), secrets, r.Keys...); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		p.rules = append(p.rules, bound)
	}
	return p, nil
}

// Keys reads public keys; those in files count from dir.
func Keys(ctx context.Context, dir string, secrets Secrets, refs ...schema.PublicKeyRef) ([]*signing.Verifier, error) {
	var keys []*signing.Verifier
	for i, ref := range refs {
		switch {
		case ref.SecretRef != nil:
			found, err := secretKeys(ctx, secrets, ref.SecretRef.Name)
			if err != nil {
				return nil, err
			}
			keys = append(keys, found...)
			continue
		case ref.Data != "":
			key, err := signing.ParseVerifier(fmt.Sprintf("data of keys[%d]", i), []byte(ref.Data))
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
			continue
		}
		path := ref.File
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		key, err := signing.LoadVerifier(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key.Named(ref.File))
	}
	return keys, nil
}

// secretKeys reads the public keys that a Secret has: those of the names that end in .pub, as cosign and Flux
// name them, or else all of its values.
func secretKeys(ctx context.Context, secrets Secrets, name string) ([]*signing.Verifier, error) {
	values, err := secrets(ctx, name)
	if err != nil {
		return nil, err
	}
	var all, public []string
	for key := range values {
		all = append(all, key)
		if strings.HasSuffix(key, ".pub") {
			public = append(public, key)
		}
	}
	if len(public) == 0 {
		public = all
	}
	slices.Sort(public)
	var keys []*signing.Verifier
	for _, entry := range public {
		key, err := signing.ParseVerifier("secret "+name+", "+entry, values[entry])
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("secret %s: expected a public key, found no value", name)
	}
	return keys, nil
}

// compile turns a pattern of repositories into a regular expression.
func compile(pattern string) *regexp.Regexp {
	if rest, ok := strings.CutPrefix(pattern, "docker.io/"); ok {
		pattern = name.DefaultRegistry + "/" + rest
	}
	text := regexp.QuoteMeta(pattern)
	text = strings.ReplaceAll(text, `\*\*`, `.*`)
	text = strings.ReplaceAll(text, `\*`, `[^/]*`)
	return regexp.MustCompile(`^` + text + `$`)
}

// For returns who must have signed what is in a repository. It is false where a rule lets in what isn't
// signed. An error means that no rule is about the repository, so that nothing of it is let in.
func (p *Policy) For(repo name.Repository) (Requirement, bool, error) {
	for _, r := range p.rules {
		if slices.ContainsFunc(r.match, func(m *regexp.Regexp) bool { return m.MatchString(repo.Name()) }) {
			return r.requirement, !r.unsigned, nil
		}
	}
	return Requirement{}, true, stages.WithHint(
		&signing.VerifyError{What: repo.Name(), Reason: fmt.Sprintf("no rule of policy %s matches it", p.file)},
		"a last rule with “match: [\"**\"]” and “unsigned: true” would let in everything else",
	)
}

// Verify looks for the signatures of a digest that the policy wants. Where it wants none, there are no
// signers.
func (p *Policy) Verify(ctx context.Context, client *registry.Client, digest name.Digest) (*Verified, error) {
	requirement, wanted, err := p.For(digest.Context())
	if err != nil {
		if wrong, ok := errors.AsType[*signing.VerifyError](err); ok {
			wrong.What = digest.String()
		}
		return nil, err
	}
	if !wanted {
		return &Verified{Digest: digest}, nil
	}
	return Verify(ctx, client, digest, requirement)
}
