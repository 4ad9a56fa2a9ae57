package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrNoCommit says that the repository doesn't have a commit.
var ErrNoCommit = errors.New("not found in the repository")

// A worktree is a checkout in the making.
type worktree struct {
	r   *Repository
	dir string
	env []string
}

func (w *worktree) git(ctx context.Context, args ...string) (string, error) {
	return w.r.run(ctx, w.dir, w.env, args...)
}

func (w *worktree) init(ctx context.Context, c Commit) error {
	format := "sha1"
	if len(c.SHA) == 64 {
		format = "sha256"
	}
	database := filepath.Join(w.r.temp, "objects")
	if _, err := w.git(ctx, "init", "--quiet", "--template=", "--object-format="+format, "--separate-git-dir="+database); err != nil {
		return err
	}
	// Submodules with relative addresses count from it.
	_, err := w.git(ctx, "config", "remote.origin.url", w.r.url)
	return err
}

// fetch gets a commit and returns its name. It asks for nothing but the commit first; where a server
// doesn't give single commits, for the reference; and else for everything.
func (w *worktree) fetch(ctx context.Context, c Commit) (string, error) {
	if c.SHA != "" {
		wants := [][]string{append([]string{c.SHA}, tagSpecs(c.Tags)...)}
		if c.Ref != "" && c.Ref != "HEAD" {
			wants = append(wants, append([]string{"+" + c.Ref + ":refs/strake/wanted"}, tagSpecs(c.Tags)...))
		}
		for _, want := range wants {
			args := append([]string{"fetch", "--progress", "--no-tags", "--depth=1", "--end-of-options", "origin"}, want...)
			_, err := w.git(ctx, args...)
			if ctx.Err() != nil {
				return "", err
			}
			if err == nil {
				if sha, err := w.find(ctx, c); err == nil {
					return sha, nil
				}
			}
		}
	}
	args := []string{"fetch", "--progress", "--tags", "--end-of-options", "origin", "+refs/heads/*:refs/remotes/origin/*"}
	if c.Ref != "" && !strings.HasPrefix(c.Ref, "refs/heads/") && !strings.HasPrefix(c.Ref, tagPrefix) {
		args = append(args, "+"+c.Ref+":refs/strake/wanted")
	}
	if _, err := w.git(ctx, args...); err != nil {
		return "", err
	}
	return w.find(ctx, c)
}

func tagSpecs(tags []string) []string {
	// Each tag is one argument; the few that matter are the first, and none matters for the files.
	const most = 50
	var specs []string
	for _, tag := range tags[:min(len(tags), most)] {
		specs = append(specs, "+"+tagPrefix+tag+":"+tagPrefix+tag)
	}
	return specs
}

// find names the commit in what was fetched.
func (w *worktree) find(ctx context.Context, c Commit) (string, error) {
	ref := c.SHA
	if ref == "" {
		ref = c.Expression
	}
	out, err := w.git(ctx, "rev-parse", "--quiet", "--verify", "--end-of-options", ref+"^{commit}")
	sha := strings.TrimSpace(out)
	switch {
	case ctx.Err() != nil:
		return "", err
	case err != nil, !IsSHA(sha):
		return "", fmt.Errorf("%s: %w", ref, ErrNoCommit)
	}
	return sha, nil
}

func (w *worktree) describe(ctx context.Context, sha string) (Info, error) {
	info := Info{SHA: sha}
	// It fails where the commit has no tag.
	if out, err := w.git(ctx, "describe", "--tags", "--exact-match", sha); err == nil {
		info.Tags = []string{strings.TrimSpace(out)}
	} else if ctx.Err() != nil {
		return info, err
	}
	out, err := w.git(ctx, "log", "-n", "1", "--no-color", "--pretty=%ct%n%B", sha)
	if err != nil {
		return info, err
	}
	date, message, _ := strings.Cut(out, "\n")
	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return info, fmt.Errorf("unexpected time %q from git log", date)
	}
	info.Time = time.Unix(seconds, 0).UTC()
	title, _, more := strings.Cut(strings.TrimSpace(message), "\n")
	if more {
		title += "..."
	}
	info.Title = title
	return info, nil
}

// submodules checks out the submodules, shallow where the servers allow that.
func (w *worktree) submodules(ctx context.Context) error {
	if _, err := os.Lstat(filepath.Join(w.dir, ".gitmodules")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// As git has it, a submodule must not be a repository of this machine: whoever wrote the
	// repository could read others with it.
	w.env = append(w.env, "GIT_ALLOW_PROTOCOL="+strings.Join(transports[1:], ":"))
	_, err := w.git(ctx, "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
	if err != nil && ctx.Err() == nil {
		_, err = w.git(ctx, "submodule", "--quiet", "update", "--init", "--recursive")
	}
	return err
}
