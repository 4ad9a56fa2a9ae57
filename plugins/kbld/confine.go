package kbld

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/stages"
)

// A Confinement bounds what a kbld builds for somebody whom it doesn't trust. A nil one bounds nothing.
type Confinement struct {
	// Policy says what is allowed.
	Policy *hook.Policy
	// Folder is the App's, and absolute. It is empty if nobody knows it, and then only repositories are
	// built from.
	Folder string
	// Admissions are those of the request's documents.
	Admissions []hook.Admission
	// Turns order the builds of all processes of the container.
	Turns *hook.Turns
}

// admit makes a source unsupported that comes from a document which isn't admitted.
func (c *Confinement) admit(s *source, document int) {
	a := c.Admissions[document]
	if a.Err != nil && (s.remote == "" || !a.Remote) {
		s.unsupported = a.Err
	}
}

// folders returns the folder that sources lie in and one for temporary files, until done is called.
func (c *Confinement) folders() (root, temp string, done func(), err error) {
	temp, done, err = c.Turns.Temp()
	if err != nil {
		return "", "", nil, err
	}
	if c.Folder != "" {
		return c.Folder, temp, done, nil
	}
	root = filepath.Join(temp, "empty")
	if err := os.Mkdir(root, 0o700); err != nil {
		done()
		return "", "", nil, err
	}
	return root, temp, done, nil
}

// contentTag is what the tags of built images begin with; see [buildkit.Parts.Tag].
const contentTag = "strake-"

// allows tells whether an image may be pushed to a repository, and get tags there.
func (c *Confinement) allows(repo name.Repository, tags []string) error {
	if c == nil {
		return nil
	}
	for _, tag := range tags {
		// Whoever may set it could give another App an image that it takes for its own.
		if strings.HasPrefix(tag, contentTag) {
			return refused("tag "+tag, "tags that begin with %s are those of what was built", contentTag)
		}
	}
	return c.Policy.AllowsDestination(repo)
}

// bounds tells whether a build is small enough.
func (c *Confinement) bounds(b *buildkit.Build) error {
	if c == nil {
		return nil
	}
	if size, limit := b.Size(), c.Policy.Limits.Context; size > int64(limit) {
		return stages.WithHint(fmt.Errorf("the build context has %s, and the policy of the cluster allows %s", hook.Size(size), limit),
			"leave out with .dockerignore what the build doesn't need")
	}
	return nil
}

// tenant is what keeps a build apart from others at the daemon. All that is known of whom it is for is
// where it goes.
func (c *Confinement) tenant(t *target) string {
	if c == nil {
		return ""
	}
	return t.repo.Name()
}

// within limits how long f may take.
func (c *Confinement) within(ctx context.Context, doing string, f func(ctx context.Context) error) error {
	if c == nil {
		return f(ctx)
	}
	limit := c.Policy.Limits.Timeout
	over := stages.WithHint(fmt.Errorf("%s took longer than %s", doing, short(limit)), "that is the limit of the cluster's policy")
	ctx, cancel := context.WithTimeoutCause(ctx, limit, over)
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), over) {
		return over
	}
	return err
}

// short prints a duration without the units that are 0.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if rest, ok := strings.CutSuffix(text, zero); ok && rest != "" && !strings.ContainsAny(rest[len(rest)-1:], "0123456789.") {
			text = rest
		}
	}
	return text
}

// buildInTurn builds one input when no other process does, and when there is room. What another process
// has built in the meantime isn't built again.
func (r *run) buildInTurn(ctx context.Context, daemons []buildkit.Daemon, group []*target) error {
	c, ref := r.confined, group[0].ref
	done := func() {}
	defer func() { done() }()
	err := c.within(ctx, "waiting for other builds before that of "+ref, func(ctx context.Context) error {
		same, err := c.Turns.Same(ctx, group[0].parts.Digest())
		if err != nil {
			return err
		}
		done = same
		if there, err := r.builtMeanwhile(ctx, group); there || err != nil {
			return err
		}
		room, err := c.Turns.Build(ctx)
		if err != nil {
			return err
		}
		done = func() { room(); same() }
		return nil
	})
	if err != nil || group[0].action == actionReused {
		return err
	}
	return c.within(ctx, "build of "+ref, func(ctx context.Context) error { return r.buildNow(ctx, daemons, group) })
}

// builtMeanwhile tells whether the images of a group are all there by now.
func (r *run) builtMeanwhile(ctx context.Context, group []*target) (bool, error) {
	digests := make([]string, len(group))
	for i, t := range group {
		// What the run has been told before is no longer of interest.
		desc, err := r.deps.Registry.Head(ctx, t.tag())
		if registry.NotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, explain(err, t.tag())
		}
		digests[i] = desc.Digest.String()
	}
	for i, t := range group {
		t.digest, t.action, t.reason = digests[i], actionReused, "was built from equal input meanwhile"
	}
	return true, nil
}

// refused is the error of something that nobody may have who isn't trusted.
func refused(what, hint string, args ...any) error {
	return stages.WithHint(fmt.Errorf("%s is not allowed here", what), hint, args...)
}

const (
	hintPod    = "a build in the cluster gets nothing of the pod that it is started from"
	hintDaemon = "a build in the cluster gets no rights on the daemon's machine"
)

// confine refuses options that reach this machine, or widen the build's rights, and takes from the policy
// what only that has.
func (s *source) confine(p *hook.Policy) error {
	if s.tool != "" {
		return refused("a source for "+s.tool, "it would be built by a program in this pod; have BuildKit build a Dockerfile: “buildkit: {dockerfile: …}”")
	}
	o := &s.options
	switch {
	case len(s.ssh) > 0:
		return refused("ssh "+s.ssh[0].ID, hintPod)
	case s.output.given():
		return refused("output "+strings.Join(s.output.places(), ", "), "a build in the cluster is pushed to a registry: give it a destination")
	case len(o.Entitlements) > 0:
		return refused("entitlement "+o.Entitlements[0], hintDaemon)
	case o.CgroupParent != "":
		return refused("cgroupParent "+o.CgroupParent, hintDaemon)
	}
	var err error
	if o.Network, err = p.AllowsNetwork(o.Network); err != nil {
		return err
	}
	for i := range s.secrets {
		if err := s.secrets[i].fromPolicy(p); err != nil {
			return err
		}
	}
	for _, c := range slices.Concat(o.CacheFrom, o.CacheTo) {
		if err := confineCache(p, c); err != nil {
			return err
		}
	}
	for _, key := range sortedKeys(o.Contexts) {
		if err := confineURL(o.Contexts[key].URL); err != nil {
			return fmt.Errorf("context %s: %w", key, err)
		}
	}
	return confineURL(s.remote)
}

// fromPolicy lets a secret be the policy's of its id.
func (s *secret) fromPolicy(p *hook.Policy) error {
	var from string
	switch {
	case s.Env != "":
		from = "env " + s.Env
	case s.File != "":
		from = "file " + s.File
	case s.SecretRef != nil:
		from = "secretRef " + s.SecretRef.Name
	}
	if from != "" {
		return refused(fmt.Sprintf("secret %s from %s", s.ID, from), "name only its id; the policy of the cluster says what that is")
	}
	var err error
	s.File, err = p.SecretFile(s.ID)
	return err
}

// confineCache takes only caches in registries, at allowed places: others are folders of this pod, or
// take credentials from its environment.
func confineCache(p *hook.Policy, c buildkit.Cache) error {
	switch c.Type {
	case cacheInline:
		return nil
	case cacheRegistry:
		ref, err := name.ParseReference(c.Attrs["ref"])
		if err != nil {
			return fmt.Errorf("cache %s: %w", c.Attrs["ref"], err)
		}
		if tag, ok := ref.(name.Tag); ok && strings.HasPrefix(tag.TagStr(), contentTag) {
			return refused("cache "+c.Attrs["ref"], "tags that begin with %s are those of what was built", contentTag)
		}
		if err := p.AllowsDestination(ref.Context()); err != nil {
			return stages.WithHint(fmt.Errorf("cache: %w", err), "%s", stages.Hint(err))
		}
		return nil
	}
	return refused("cache type "+c.Type, "expected registry or inline")
}

// remoteSchemes are those that need nothing of this machine.
var remoteSchemes = []string{"https", "http", "git", "docker-image"}

func confineURL(text string) error {
	scheme, _, ok := strings.Cut(text, "://")
	switch {
	case text == "", ok && slices.Contains(remoteSchemes, scheme):
		return nil
	case !ok:
		scheme = "ssh"
	}
	return refused("the scheme "+scheme, "expected one of %s", strings.Join(remoteSchemes, ", "))
}

// A confinedResolver asks no server with keys of this machine.
type confinedResolver struct{ buildkit.Resolver }

// Commit asks a server for a commit.
func (c confinedResolver) Commit(ctx context.Context, url, ref string) (string, error) {
	if err := confineURL(url); err != nil {
		return "", err
	}
	return c.Resolver.Commit(ctx, url, ref)
}

// resolver tells what mutable references of builds are.
func (r *run) resolver() buildkit.Resolver {
	if r.confined != nil {
		return confinedResolver{r.lookup}
	}
	return r.lookup
}

// originsOf are those of an image that was built for a target. Of a repository it is the commit, in the
// form that kbld has for a checkout.
func (r *run) originsOf(t *target) ([]kbldconfig.Origin, error) {
	if t.source.remote == "" {
		return r.origins(t.source)
	}
	return []kbldconfig.Origin{{Git: &kbldconfig.OriginGit{
		RemoteURL: buildkit.RemoteURL(t.source.remote), SHA: t.loaded.Commit(t.pins),
	}}}, nil
}
