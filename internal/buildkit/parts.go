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
	parts := Parts{
		PartContext:    b.contextDigest(),
		PartDockerfile: b.dockerfileDigest(),
		PartArgs:       textSum(b.arguments().text()),
		PartTarget:     textSum(b.source.Target),
		PartPlatforms:  textSum(strings.Join(b.source.Platforms, ",")),
		PartRecipe:     textSum(recipe),
	}
	// A part that isn't there keeps the tags of images that were built before it was thought of.
	if digest := b.contextsDigest(); digest != "" {
		parts[PartContexts] = digest
	}
	if text := b.source.settings().text(); text != "" {
		parts[PartOptions] = textSum(text)
	}
	return parts
}

func textSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
