package buildkit

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	spb "github.com/moby/buildkit/sourcepolicy/pb"

	"strake.dev/strake/schema"
)

// The kinds of what a build takes from elsewhere.
const (
	PinImage = "image"
	PinHTTP  = "http"
	PinGit   = "git"
)

// A Pin says what a mutable reference of a Dockerfile is.
type Pin struct {
	Kind string
	// Ref is the reference: an image as the Hub's users write it (golang:1.26), a URL, or a
	// repository's URL with #REF or #REF:FOLDER.
	Ref string
	// Digest is the image's or the file's, in the form sha256:…, or a git commit's hash. It is empty
	// when it couldn't be told.
	Digest string

	// source is BuildKit's identifier of a git source, which leaves out of the URL how to reach it.
	source string
}

// Pins are what a build takes from elsewhere, each reference once, in their order.
type Pins []Pin

// add adds a pin, if its reference isn't there.
func (p *Pins) add(pin Pin) {
	at, found := slices.BinarySearchFunc(*p, pin, comparePins)
	if !found {
		*p = slices.Insert(*p, at, pin)
	}
}

func comparePins(a, b Pin) int { return cmp.Or(cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Kind, b.Kind)) }

// Find returns the pin of a reference.
func (p Pins) Find(ref string) (Pin, bool) {
	i := slices.IndexFunc(p, func(pin Pin) bool { return pin.Ref == ref })
	if i < 0 {
		return Pin{}, false
	}
	return p[i], true
}

// Unknown lists the references whose digests couldn't be told.
func (p Pins) Unknown() []string {
	var refs []string
	for _, pin := range p {
		if pin.Digest == "" {
			refs = append(refs, pin.Ref)
		}
	}
	return refs
}

// Digest is the SHA-256, in hex, of all pins together. A reference whose digest couldn't be told is left
// out: its text is part of the Dockerfile.
func (p Pins) Digest() string {
	sum := sha256.New()
	for _, pin := range p {
		if pin.Digest == "" {
			continue
		}
		fmt.Fprintf(sum, "%s %q %q\n", pin.Kind, pin.Ref, pin.Digest)
	}
	return hexSum(sum)
}

// Locked returns the pins for the lock file; those whose digest couldn't be told are left out.
func (p Pins) Locked() []schema.LockedPin {
	var list []schema.LockedPin
	for _, pin := range p {
		locked := schema.LockedPin{Digest: pin.Digest}
		switch pin.Kind {
		case PinImage:
			locked.Image = pin.Ref
		case PinHTTP:
			locked.URL = pin.Ref
		default:
			locked = schema.LockedPin{Git: pin.Ref, Commit: pin.Digest}
		}
		if pin.Digest != "" {
			list = append(list, locked)
		}
	}
	return list
}

// PinsFrom returns the pins of a lock file.
func PinsFrom(locked []schema.LockedPin) Pins {
	var pins Pins
	for _, l := range locked {
		kind := PinImage
		switch {
		case l.URL != "":
			kind = PinHTTP
		case l.Git != "":
			kind = PinGit
		}
		pins.add(Pin{Kind: kind, Ref: l.Ref(), Digest: l.Value()})
	}
	return pins
}

// commitForm is a git commit's full hash.
var commitForm = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// policy has the daemon take exactly what the pins say. With strict, everything that has no pin and
// isn't named by a digest is refused.
func (p Pins) policy(strict bool) *spb.Policy {
	policy := &spb.Policy{Version: 1}
	if strict {
		policy.Rules = append(policy.Rules, strictRules()...)
	}
	for _, pin := range p {
		if pin.Digest != "" {
			policy.Rules = append(policy.Rules, pin.rule())
		}
	}
	if len(policy.Rules) == 0 {
		return nil
	}
	return policy
}

// strictRules let pass what can't be another thing tomorrow; of several rules the last one counts.
func strictRules() []*spb.Rule {
	rule := func(action spb.PolicyAction, pattern string, constraints ...*spb.AttrConstraint) *spb.Rule {
		return &spb.Rule{Action: action, Selector: &spb.Selector{
			Identifier: pattern, MatchType: spb.MatchType_REGEX, Constraints: constraints,
		}}
	}
	return []*spb.Rule{
		rule(spb.PolicyAction_DENY, `^(docker-image|https?|git)://`),
		rule(spb.PolicyAction_ALLOW, `^docker-image://.*@sha256:[0-9a-f]{64}$`),
		rule(spb.PolicyAction_ALLOW, `^git://[^#]*#([0-9a-f]{40}|[0-9a-f]{64})(:|$)`),
		rule(spb.PolicyAction_ALLOW, `^https?://`, &spb.AttrConstraint{
			Key: "http.checksum", Value: `^sha256:[0-9a-f]{64}$`, Condition: spb.AttrMatch_MATCHES,
		}),
	}
}

func (p Pin) rule() *spb.Rule {
	from, update := "", &spb.Update{}
	switch p.Kind {
	case PinImage:
		from = "docker-image://" + canonicalImage(p.Ref)
		update.Identifier = from + "@" + p.Digest
	case PinGit:
		from = p.source
		if from == "" {
			from = gitSource(p.Ref)
		}
		remote, fragment, _ := strings.Cut(from, "#")
		update.Identifier = remote + "#" + p.Digest
		if _, folder, ok := strings.Cut(fragment, ":"); ok {
			update.Identifier += ":" + folder
		}
	default:
		from = p.Ref
		update.Attrs = map[string]string{"http.checksum": p.Digest}
	}
	return &spb.Rule{
		Action:   spb.PolicyAction_CONVERT,
		Selector: &spb.Selector{Identifier: from, MatchType: spb.MatchType_EXACT},
		Updates:  update,
	}
}

// canonicalImage is BuildKit's name of an image: with the registry, and with the tag latest where there
// is none.
func canonicalImage(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

// familiarImage is the name as the Hub's users write it.
func familiarImage(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.FamiliarString(reference.TagNameOnly(named))
}
