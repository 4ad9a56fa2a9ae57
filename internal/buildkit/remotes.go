package buildkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Resolver tells what mutable references are at the moment.
type Resolver interface {
	// Image returns the digest of an image's manifest or index.
	Image(ctx context.Context, ref string) (string, error)
	// Config returns the configuration of the image for a platform that a reference with that digest
	// holds, as JSON.
	Config(ctx context.Context, ref, digest string, platform ocispecs.Platform) ([]byte, error)
	// File returns the SHA-256 of what a URL answers, in the form sha256:….
	File(ctx context.Context, url string) (string, error)
	// Commit returns the hash of the commit that a branch, tag or HEAD of a repository points to.
	Commit(ctx context.Context, url, ref string) (string, error)
}

// Pins returns what the build takes from elsewhere: base images and images to copy or mount from, of
// the stages that its target needs and of their ONBUILD triggers; the frontend of a “# syntax=” line;
// files and repositories that ADD names; named contexts; the SBOM generator. What r can't tell is among
// them without a digest.
//
// Of a [Source.Remote], whose Dockerfile only the daemon reads, it is the repository; not to know its
// commit is an error.
//
// BuildKit's own frontend reads the Dockerfile. Where it can't, because an image's configuration can't
// be had or the language is another one, the images are those that the Dockerfile's text names.
func (b *Build) Pins(ctx context.Context, r Resolver) (Pins, error) {
	c := &collector{build: b, resolver: r, contexts: b.contextNames()}
	if remote := b.source.Remote; remote != "" {
		if err := c.main(ctx, remote); err != nil {
			return nil, err
		}
	}
	if syntax, _, _, ok := parser.DetectSyntax(b.dockerfile); ok {
		_, _ = c.image(ctx, syntax) // without a digest it is among the pins
	}
	if sbom := b.source.SBOM; sbom != "" && sbom != "true" {
		_, _ = c.image(ctx, sbom)
	}
	for _, name := range slices.Sorted(maps.Keys(b.source.Contexts)) {
		c.context(ctx, b.source.Contexts[name].URL)
	}
	if b.source.Remote == "" && !c.convert(ctx) {
		for _, ref := range baseRefs(b.dockerfile, b.source.Args, b.source.Platforms) {
			if !c.contexts[canonicalImage(ref)] {
				_, _ = c.image(ctx, ref)
			}
		}
	}
	return c.pins, ctx.Err()
}

// contextNames are the named contexts, in BuildKit's form of the image names that they stand for.
func (b *Build) contextNames() map[string]bool {
	names := map[string]bool{}
	for name := range maps.Keys(b.source.Contexts) {
		names[canonicalImage(name)] = true
	}
	return names
}

// A collector gathers pins while BuildKit's frontend reads a Dockerfile.
type collector struct {
	build    *Build
	resolver Resolver
	contexts map[string]bool

	mu   sync.Mutex
	pins Pins
}

func (c *collector) add(p Pin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins.add(p)
}

// image pins an image and returns its digest; one that is named by its digest is none to pin.
func (c *collector) image(ctx context.Context, ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		// The daemon says what is wrong with the name.
		c.add(Pin{Kind: PinImage, Ref: ref})
		return "", err
	}
	if d, ok := named.(reference.Digested); ok {
		return d.Digest().String(), nil
	}
	name := familiarImage(ref)
	c.mu.Lock()
	known, ok := c.pins.Find(name)
	c.mu.Unlock()
	if ok && known.Digest != "" {
		return known.Digest, nil
	}
	digest, err := c.resolver.Image(ctx, name)
	c.add(Pin{Kind: PinImage, Ref: name, Digest: digest})
	return digest, err
}

// context pins what a named context is taken from; a folder or layout is no remote.
func (c *collector) context(ctx context.Context, url string) {
	if url == "" {
		return
	}
	if ref, ok := strings.CutPrefix(url, "docker-image://"); ok {
		_, _ = c.image(ctx, ref) // without a digest it is among the pins
		return
	}
	if ref, ok := gitReference(url); ok {
		c.git(ctx, ref)
		return
	}
	c.file(ctx, url)
}

func (c *collector) file(ctx context.Context, url string) {
	digest, err := c.resolver.File(ctx, url)
	if err != nil {
		digest = ""
	}
	c.add(Pin{Kind: PinHTTP, Ref: url, Digest: digest})
}

func (c *collector) git(ctx context.Context, ref gitRef) {
	if commitForm.MatchString(ref.ref) {
		return
	}
	commit, err := c.resolver.Commit(ctx, ref.remote, ref.ref)
	if err != nil {
		commit = ""
	}
	c.add(Pin{Kind: PinGit, Ref: ref.String(), Digest: commit, source: ref.source()})
}

// convert has BuildKit's frontend read the Dockerfile for every platform, and tells whether it could.
func (c *collector) convert(ctx context.Context) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // the frontend runs on a user's text: the daemon will say what is wrong with it
		}
	}()
	s := c.build.source
	wanted := s.Platforms
	if len(wanted) == 0 {
		wanted = []string{"linux/" + runtime.GOARCH}
	}
	for _, name := range wanted {
		platform, err := platforms.Parse(name)
		if err != nil {
			return false
		}
		main := llb.Local("context")
		result, err := dockerfile2llb.Dockerfile2LLB(ctx, c.build.dockerfile, dockerfile2llb.ConvertOpt{
			Config: dockerui.Config{
				BuildArgs: s.Args, Target: s.Target, MultiPlatformRequested: len(wanted) > 1,
				BuildPlatforms: []ocispecs.Platform{platforms.DefaultSpec()},
			},
			MainContext: &main, MetaResolver: c, TargetPlatform: &platform,
		})
		if err != nil {
			return false
		}
		definition, err := result.State.Marshal(ctx)
		if err != nil {
			return false
		}
		for _, data := range definition.Def {
			var op pb.Op
			if err := op.UnmarshalVT(data); err != nil {
				return false
			}
			c.source(ctx, op.GetSource())
		}
	}
	return true
}

// source pins a file or repository that ADD names; images were pinned when the frontend asked for them.
func (c *collector) source(ctx context.Context, op *pb.SourceOp) {
	id := op.GetIdentifier()
	switch {
	case strings.HasPrefix(id, "https://"), strings.HasPrefix(id, "http://"):
		if op.GetAttrs()[pb.AttrHTTPChecksum] == "" {
			c.file(ctx, id)
		}
	case strings.HasPrefix(id, "git://"):
		_, fragment, _ := strings.Cut(id, "#")
		ref := gitRef{remote: op.GetAttrs()[pb.AttrFullRemoteURL], identifier: id}
		ref.ref, ref.folder, _ = strings.Cut(fragment, ":")
		if op.GetAttrs()[pb.AttrGitChecksum] == "" {
			c.git(ctx, ref)
		}
	}
}

// errNoConfig says that the configuration of an image couldn't be read.
var errNoConfig = errors.New("no configuration")

// ResolveImageConfig implements [llb.ImageMetaResolver].
func (c *collector) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	platform := platforms.DefaultSpec()
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = *opt.ImageOpt.Platform
	}
	if c.contexts[ref] {
		config, err := json.Marshal(ocispecs.Image{Platform: platform})
		return ref, "", config, err
	}
	d, err := c.image(ctx, ref)
	if err != nil {
		return "", "", nil, err
	}
	config, err := c.resolver.Config(ctx, familiarImage(ref), d, platform)
	if err != nil {
		return "", "", nil, fmt.Errorf("%w of %s: %w", errNoConfig, ref, err)
	}
	return ref, digest.Digest(d), config, nil
}
