package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/internal/cache"
)

// fetch brings what a checkout needs into the mirror: the commit and its tags first; where a server
// doesn't give single commits, the reference; and else everything.
func (m *mirror) fetch(ctx context.Context, c *checkout) error {
	c.fetched = true
	found, err := m.commits(ctx, []string{c.want.SHA})
	if err != nil {
		return err
	}
	if found[0] == "" || c.KeepGit || len(c.want.Tags) > 0 {
		if err := m.fetchCommit(ctx, c, found[0] != ""); err != nil {
			return err
		}
	}
	if m.kind == sparse {
		if err := m.configure(); err != nil {
			return err
		}
		return m.fetchBlobs(ctx, c)
	}
	if c.KeepGit && c.Depth > 0 {
		return m.noteBoundary(c)
	}
	return nil
}

func (m *mirror) fetchCommit(ctx context.Context, c *checkout, have bool) error {
	args := []string{"fetch", "--progress", "--no-tags", "--no-write-fetch-head"}
	tags := c.want.tagSpecs()
	switch {
	case m.kind == full:
		args = append(args, "--prune")
		tags = []string{"+refs/tags/*:refs/tags/*"}
	case c.KeepGit:
		args = append(args, "--depth="+strconv.Itoa(c.Depth))
		have = false // its history may be too short
	case m.kind == sparse:
		args = append(args, "--depth=1", "--filter=blob:none")
	default:
		args = append(args, "--depth=1")
	}
	// The names keep the commits of each reference, by which the next fetch tells what is here.
	wants := [][]string{{"+" + c.want.SHA + ":" + keptName(c.want.Ref)}}
	if c.want.Ref != "" && c.want.Ref != "HEAD" {
		wants = append(wants, []string{"+" + c.want.Ref + ":" + keptName(c.want.Ref)})
	}
	if have {
		wants = [][]string{nil}
	}
	for _, want := range wants {
		_, err := m.fetchSpecs(ctx, args, append(want, tags...))
		if ctx.Err() != nil || err != nil && passing(err) {
			return err
		}
		if err != nil {
			continue
		}
		if found, err := m.commits(ctx, []string{c.want.SHA}); err == nil && found[0] != "" {
			return nil
		}
	}
	if err := m.fetchAll(ctx); err != nil {
		return err
	}
	found, err := m.commits(ctx, []string{c.want.SHA})
	if err == nil && found[0] == "" {
		err = fmt.Errorf("%s: %w", c.want.SHA, ErrNoCommit)
	}
	return err
}

func (m *mirror) fetchSpecs(ctx context.Context, args, specs []string) (string, error) {
	args = append(slices.Clone(args), "--end-of-options", "origin")
	out, err := m.r.remote(ctx, call{dir: m.path, env: m.env(), args: append(args, specs...)})
	if err == nil {
		m.r.admitted = true
	}
	return out, err
}

// fetchAll brings all branches and tags with their histories.
func (m *mirror) fetchAll(ctx context.Context) error {
	args := []string{"fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--prune"}
	_, err := m.fetchSpecs(ctx, args, []string{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"})
	return err
}

// resolveByHistory finds the commit that an expression such as v1.0~2 means, in the history of everything.
func (r *Repository) resolveByHistory(ctx context.Context, c *checkout) error {
	folder, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return err
	}
	defer folder.close()
	m := folder.of(full, c.want)
	if err := m.filling(ctx, c.want, func() error { return m.fetchAll(ctx) }); err != nil {
		return err
	}
	sha, err := m.find(ctx, c.want.Expression)
	if err != nil {
		return err
	}
	c.want = Commit{SHA: sha, Tags: c.want.refs.tagsOf(sha), refs: c.want.refs}
	return nil
}

// find names the commit that an expression means in what was fetched.
func (m *mirror) find(ctx context.Context, expression string) (string, error) {
	out, err := m.git(ctx, "rev-parse", "--quiet", "--verify", "--end-of-options", expression+"^{commit}")
	sha := strings.TrimSpace(out)
	switch {
	case ctx.Err() != nil:
		return "", err
	case err != nil, !IsSHA(sha):
		return "", fmt.Errorf("%s: %w", expression, ErrNoCommit)
	}
	return sha, nil
}

// keptName is the name in a mirror of what a reference was when it was last fetched. It is no part of the
// reference's, for a may be followed by a/b.
func keptName(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	return "refs/strake/" + hex.EncodeToString(sum[:10])
}

// mostTags is how many tags of a commit are fetched: each is one argument, and none matters for the files.
const mostTags = 50

// tagRefs are the full names of the commit's tags that matter: the one that was asked for, and the first.
func (c Commit) tagRefs() []string {
	var names []string
	if strings.HasPrefix(c.Ref, tagPrefix) {
		names = append(names, c.Ref)
	}
	for _, tag := range c.Tags[:min(len(c.Tags), mostTags)] {
		if name := tagPrefix + tag; name != c.Ref && safeName(name) {
			names = append(names, name)
		}
	}
	return names
}

func (c Commit) tagSpecs() []string {
	var specs []string
	for _, name := range c.tagRefs() {
		specs = append(specs, "+"+name+":"+name)
	}
	return specs
}

// hasTags tells whether the mirror has all tags of the remote that are known.
func (m *mirror) hasTags(ctx context.Context, refs Refs) bool {
	out, err := m.git(ctx, "for-each-ref", "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end) %(refname)", "refs/tags")
	if err != nil {
		return false
	}
	here := map[string]string{}
	for line := range strings.Lines(out) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		here[name] = sha
	}
	for name, sha := range refs {
		if strings.HasPrefix(name, tagPrefix) && here[name] != sha {
			return false
		}
	}
	return true
}

// configure writes the mirror's configuration. That also makes git forget that something was left out when it
// fetched, so that it never fetches single files when they are read.
func (m *mirror) configure() error {
	format := "sha1"
	if strings.HasSuffix(m.path, "-sha256") {
		format = "sha256"
	}
	return writeFile(filepath.Join(m.path, "config"), config(m.r.url, true, format))
}
