package hg

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

	"strake.dev/strake/internal/admission"
	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
)

// Info says what was checked out, in the way of vendir's lock.
type Info struct {
	// SHA is the full name of the changeset.
	SHA string
	// Title is the first line of its description.
	Title string
	// Time is when it was made.
	Time time.Time
}

// A clone is a repository without a working copy that holds what was pulled.
type clone struct {
	r *Repository
	// path is the repository's; beside it lies a mark while it is pulled into.
	path string
	held *cache.Dir
	// info is of the changeset that the clone was found to have.
	info Info
}

func (c *clone) close() error { return c.held.Close() }

func (c *clone) mark() string { return c.path + ".pulling" }

// hold locks the clone.
func (r *Repository) hold(ctx context.Context, mode cache.Mode) (*clone, error) {
	if r.Cache == nil {
		return &clone{r: r, path: filepath.Join(r.temp, "clone")}, nil
	}
	key := r.url
	if r.evolve {
		key += " evolve" // it pulls more
	}
	d, err := r.Cache.Dir(ctx, "hg", key, mode)
	if err != nil {
		return nil, err
	}
	return &clone{r: r, path: filepath.Join(d.Path, "clone"), held: d}, nil
}

// Checkout makes dir, an existing empty folder, a clone of the repository with its own .hg, in which the
// changeset of a reference is checked out.
func (r *Repository) Checkout(ctx context.Context, dir, ref string) (Info, error) {
	if err := CheckRef(ref); err != nil {
		return Info{}, fmt.Errorf("the reference %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Info{}, err
	}
	sha, err := r.Resolve(ctx, ref)
	if errors.Is(err, ErrNoChangeset) {
		sha, err = r.resolveByHistory(ctx, ref)
	}
	if err != nil {
		return Info{}, err
	}
	info, err := r.attempt(ctx, dir, sha)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrNoChangeset) {
		return info, err
	}
	if mended, e := r.mend(ctx); e != nil || !mended {
		return info, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return Info{}, err
	}
	return r.attempt(ctx, dir, sha)
}

func (r *Repository) attempt(ctx context.Context, dir, sha string) (Info, error) {
	c, err := r.cloneWith(ctx, sha)
	if err != nil {
		return Info{}, err
	}
	defer c.close()
	// Revlogs are linked; hg copies one before it writes to it.
	if _, err := r.run(ctx, r.temp, "clone", "--quiet", "--updaterev="+sha, "--", c.path, dir); err != nil {
		return Info{}, err
	}
	text := "[paths]\ndefault = " + git.Redacted(r.url) + "\n"
	if r.evolve {
		text = "[extensions]\nevolve =\ntopic =\n" + text
	}
	return c.info, os.WriteFile(filepath.Join(dir, ".hg", "hgrc"), []byte(text), 0o600)
}

// parseLog reads a name, a time as hgdate, and a title, each on a line.
func parseLog(out string) (Info, error) {
	sha, rest, _ := strings.Cut(out, "\n")
	date, title, ok := strings.Cut(rest, "\n")
	date, _, _ = strings.Cut(date, " ")
	seconds, err := strconv.ParseInt(date, 10, 64)
	if !ok || !IsSHA(sha) || err != nil {
		return Info{}, fmt.Errorf("unexpected answer %q from hg log", out)
	}
	return Info{SHA: sha, Title: strings.TrimSpace(title), Time: time.Unix(seconds, 0).UTC()}, nil
}

// cloneWith returns a clone that has a changeset, which the caller must close. It pulls if it must.
func (r *Repository) cloneWith(ctx context.Context, sha string) (*clone, error) {
	// Between the two locks another process may throw the clone away, but not forever.
	for range 5 {
		c, err := r.hold(ctx, cache.Shared)
		if err != nil {
			return nil, err
		}
		if c.has(ctx, sha) {
			if err := c.admit(ctx, sha); err != nil {
				return nil, errors.Join(err, c.close())
			}
			return c, nil
		}
		if err := c.close(); err != nil {
			return nil, err
		}
		if err := r.fill(ctx, sha); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: the cache loses what was just pulled", git.Redacted(r.url))
}

// admit makes sure that the clone gives nothing to those whom the remote wouldn't let in.
func (c *clone) admit(ctx context.Context, sha string) error {
	r := c.r
	if r.Cache == nil {
		return nil
	}
	return admission.Check(c.held.Path, admission.Credentials{[]byte(r.auth.Username), []byte(r.auth.Password), r.auth.PrivateKey}, func() error {
		if r.admitted {
			return nil
		}
		_, err := r.remote(ctx, "identify", "--id", "--rev="+sha, "--", r.url)
		return err
	})
}

// has tells whether the clone is whole as far as is known, and has a changeset.
func (c *clone) has(ctx context.Context, sha string) bool {
	if _, err := os.Stat(filepath.Join(c.path, ".hg")); err != nil {
		return false
	}
	if _, err := os.Stat(c.mark()); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	out, err := c.r.run(ctx, c.path, "log", "--rev="+sha, "--template={node}\n{date|hgdate}\n{desc|firstline|strip}")
	if err != nil {
		return false
	}
	c.info, err = parseLog(out)
	return err == nil && c.info.SHA == sha
}

// fill pulls what the clone lacks, unless another one has just done that.
func (r *Repository) fill(ctx context.Context, sha string) error {
	c, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return err
	}
	defer c.close()
	if c.has(ctx, sha) {
		return nil
	}
	if err := c.pull(ctx); err != nil {
		return err
	}
	if !c.has(ctx, sha) {
		return fmt.Errorf("%s: %w", sha, ErrNoChangeset)
	}
	return nil
}

// pull brings everything from the remote. The clone must be held exclusively.
func (c *clone) pull(ctx context.Context) error {
	if _, err := os.Stat(c.mark()); err == nil {
		if err := os.RemoveAll(c.path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.mark(), nil, 0o600); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.path, ".hg")); err != nil {
		if err := os.RemoveAll(c.path); err != nil {
			return err
		}
		if _, err := c.r.run(ctx, c.r.temp, "init", "--", c.path); err != nil {
			return err
		}
	}
	if _, err := c.r.remote(ctx, "pull", "--quiet", "--cwd="+c.path, "--", c.r.url); err != nil {
		// What hg could undo itself is whole.
		if _, e := os.Stat(filepath.Join(c.path, ".hg", "store", "journal")); ctx.Err() == nil && errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, os.Remove(c.mark()))
		}
		return err
	}
	c.r.admitted = true
	return os.Remove(c.mark())
}

// resolveByHistory finds the changeset that a revision set means, in the history of everything.
func (r *Repository) resolveByHistory(ctx context.Context, ref string) (string, error) {
	c, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return "", err
	}
	defer c.close()
	if err := c.pull(ctx); err != nil {
		return "", err
	}
	out, err := r.run(ctx, c.path, "log", "--rev=last("+ref+")", "--template={node}")
	if err != nil {
		return "", err
	}
	if !IsSHA(out) {
		return "", fmt.Errorf("%s: %w", ref, ErrNoChangeset)
	}
	return out, nil
}

// mend throws the clone away if it is damaged, and tells whether it was.
func (r *Repository) mend(ctx context.Context) (bool, error) {
	c, err := r.hold(ctx, cache.Exclusive)
	if err != nil {
		return false, err
	}
	defer c.close()
	if _, err := r.run(ctx, c.path, "verify", "--quiet"); err == nil || ctx.Err() != nil {
		return false, ctx.Err()
	}
	return true, os.RemoveAll(c.path)
}
