package buildkit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// The parts of a build's input.
const (
	PartContext    = "context"
	PartDockerfile = "dockerfile"
	PartArgs       = "args"
	PartTarget     = "target"
	PartPlatforms  = "platforms"
	PartBases      = "bases"
	// PartContexts are the named contexts; left out when there are none.
	PartContexts = "contexts"
	// PartOptions are all other options that reach the image; left out when none is set.
	PartOptions = "options"
	// PartRecipe is what strake itself adds: the frontend and how it is called.
	PartRecipe = "recipe"
)

// recipe changes whenever equal input gives another image because of a change in this package.
const recipe = frontend + " 2"

const epochArg = "SOURCE_DATE_EPOCH"

// tagPrefix is what the tags of built images begin with.
const tagPrefix = "strake-"

// tagDigits is how many hex digits of the input's digest are in the tag: 128 bits, so that nobody
// can make a second source for an existing tag.
const tagDigits = 32

// Parts are everything that a build's result depends on: the SHA-256, in hex, of each part.
type Parts map[string]string

// Digest is the SHA-256, in hex, of all parts together.
func (p Parts) Digest() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(sum, "%s %s\n", name, p[name])
	}
	return hexSum(sum)
}

// Tag is the tag under which an image of these parts is pushed.
func (p Parts) Tag() string { return tagPrefix + p.Digest()[:tagDigits] }

// Changed lists, sorted, the parts that p and old don't have in common.
func (p Parts) Changed(old Parts) []string {
	var names []string
	for name := range maps.Keys(p) {
		if p[name] != old[name] {
			names = append(names, name)
		}
	}
	for name := range maps.Keys(old) {
		if _, ok := p[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Parts returns all parts but [PartBases], which only others can tell: it is the digest of [Build.Pins].
func (b *Build) Parts() Parts {
	args := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(b.source.Args)) {
		fmt.Fprintf(args, "arg %q %q\n", name, b.source.Args[name])
	}
	for _, name := range slices.Sorted(maps.Keys(b.source.Labels)) {
		fmt.Fprintf(args, "label %q %q\n", name, b.source.Labels[name])
	}
	if b.epoch != "" {
		fmt.Fprintf(args, "epoch %q\n", b.epoch)
	}
	parts := Parts{
		PartContext:    b.context.digest(),
		PartDockerfile: textSum(string(b.dockerfile)),
		PartArgs:       hexSum(args),
		PartTarget:     textSum(b.source.Target),
		PartPlatforms:  textSum(strings.Join(b.source.Platforms, ",")),
		PartRecipe:     textSum(recipe),
	}
	// A part that isn't there keeps the tags of images that were built before it was thought of.
	for name, digest := range map[string]string{PartContexts: b.contextsDigest(), PartOptions: b.source.Options.digest()} {
		if digest != "" {
			parts[name] = digest
		}
	}
	return parts
}

// digest is over the options that have no part of their own; it is empty when none is set. Where steps
// are taken from and kept, and which are run again, doesn't change the image.
func (o Options) digest() string {
	var text strings.Builder
	list := func(name string, values []string) {
		for _, v := range values {
			fmt.Fprintf(&text, "%s %q\n", name, v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(o.Annotations)) {
		fmt.Fprintf(&text, "annotation %q %q\n", key, o.Annotations[key])
	}
	list("secret", slices.Sorted(maps.Keys(o.Secrets)))
	list("ssh", slices.Sorted(maps.Keys(o.SSH)))
	list("entitlement", o.entitlements())
	list("host", o.Hosts)
	list("ulimit", o.Ulimits)
	for _, single := range [][2]string{
		{"provenance", o.Provenance}, {"sbom", o.SBOM}, {"network", o.network()}, {"shm", o.shmSize()}, {"cgroup", o.CgroupParent},
	} {
		if single[1] != "" {
			list(single[0], single[1:])
		}
	}
	if text.Len() == 0 {
		return ""
	}
	return textSum(text.String())
}

func textSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
