package cosign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/referrer"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
)

// A Requirement says who must have signed something.
type Requirement struct {
	Keys []*signing.Verifier
	// AtLeast is how many of the keys must have; 0 is one.
	AtLeast int
}

// need is how many signers there must be.
func (r Requirement) need() int { return max(r.AtLeast, 1) }

// String names the signers, for messages.
func (r Requirement) String() string {
	var names []string
	for _, k := range r.Keys {
		names = append(names, k.String())
	}
	switch text := strings.Join(names, ", "); {
	case r.need() > 1:
		return fmt.Sprintf("%d of %s", r.need(), text)
	case len(names) > 1:
		return "one of " + text
	default:
		return text
	}
}

// Verified tells who has signed something.
type Verified struct {
	Digest  name.Digest
	Signers []Signer
}

// A Signer is one who has.
type Signer struct {
	// Name is that of the key.
	Name string `json:"name"`
	Form Form   `json:"form"`
}

// Verify looks for signatures of a digest in both forms until the requirement is met. Otherwise the error is a
// [*signing.VerifyError], which also tells whether there is no signature at all; any other error means that
// the registry couldn't be asked.
func Verify(ctx context.Context, client *registry.Client, digest name.Digest, r Requirement) (*Verified, error) {
	v := &verifying{requirement: r, signed: map[string]bool{}, Verified: Verified{Digest: digest}}
	if len(r.Keys) == 0 || r.need() > len(r.Keys) {
		return nil, fmt.Errorf("%s: %d signers are required, and there are keys of %d", digest, r.need(), len(r.Keys))
	}
	var failed []error
	for _, look := range []func(context.Context, *registry.Client) error{v.lookAtTag, v.lookAtBundles} {
		if err := look(ctx, client); err != nil {
			failed = append(failed, err)
		}
		if v.met() {
			return &v.Verified, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	if len(failed) > 0 {
		return nil, fmt.Errorf("%s: signatures: %w", digest, errors.Join(failed...))
	}
	return nil, v.failure()
}

type verifying struct {
	Verified
	requirement Requirement
	// signed has the keys that have signed, by their hint.
	signed map[string]bool
	// wrong says of each signature that doesn't count what is wrong with it.
	wrong []string
}

func (v *verifying) met() bool { return len(v.signed) >= v.requirement.need() }

func (v *verifying) accept(key *signing.Verifier, form Form) {
	if !v.signed[key.Hint()] {
		v.signed[key.Hint()] = true
		v.Signers = append(v.Signers, Signer{Name: key.String(), Form: form})
	}
}

func (v *verifying) refuse(err error) {
	if text := err.Error(); !slices.Contains(v.wrong, text) {
		v.wrong = append(v.wrong, text)
	}
}

// lookAtTag looks at the signatures of the older form.
func (v *verifying) lookAtTag(ctx context.Context, client *registry.Client) error {
	there, err := readTag(ctx, client, v.Digest)
	if err != nil || there == nil {
		return err
	}
	for _, c := range there.signatures(ctx, client, v.Digest) {
		if c.err != nil {
			v.refuse(c.err)
			continue
		}
		i := slices.IndexFunc(v.requirement.Keys, func(k *signing.Verifier) bool { return k.Signed(c.payload, c.sig) })
		if i < 0 {
			v.refuse(errOther)
			continue
		}
		if err := checkPayload(c.payload, v.Digest); err != nil {
			v.refuse(err)
			continue
		}
		v.accept(v.requirement.Keys[i], Signature)
	}
	return nil
}

// lookAtBundles looks at the signatures of the newer form.
func (v *verifying) lookAtBundles(ctx context.Context, client *registry.Client) error {
	found, err := referrer.List(ctx, client, v.Digest, IsBundle)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Err != nil {
			v.refuse(f.Err)
			continue
		}
		// Other statements, such as provenance, are no signatures of what they are about.
		if s, err := Peek(f.Content, v.Digest); err == nil && s.PredicateType != SignPredicate {
			continue
		}
		s, key, err := Open(f.Content, v.Digest, v.requirement.Keys)
		switch {
		case err != nil:
			v.refuse(err)
		case s.PredicateType != SignPredicate:
			v.refuse(fmt.Errorf("expected a statement of the type %s, found %s", SignPredicate, s.PredicateType))
		default:
			v.accept(key, Bundle)
		}
	}
	return nil
}

// failure says why the requirement isn't met.
func (v *verifying) failure() error {
	what := v.Digest.String()
	switch {
	case len(v.signed) > 0:
		var names []string
		for _, s := range v.Signers {
			names = append(names, s.Name)
		}
		return &signing.VerifyError{What: what, Reason: fmt.Sprintf("it is signed by %s, and signatures by %s are required", strings.Join(names, ", "), v.requirement)}
	case len(v.wrong) == 0:
		return &signing.VerifyError{What: what, Unsigned: true, Reason: "it isn't signed, and a signature by " + v.requirement.String() + " is required"}
	}
	const few = 3
	more := ""
	if n := len(v.wrong); n > few {
		more = fmt.Sprintf(", and %d more", n-few)
	}
	return &signing.VerifyError{What: what, Reason: fmt.Sprintf(
		"none of its signatures is by %s (%s%s)", v.requirement, strings.Join(v.wrong[:min(len(v.wrong), few)], "; "), more,
	)}
}
