package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"strake.dev/strake/internal/signing"
)

// Options of a checkout.
type Options struct {
	// SkipLFS leaves the files of git-lfs as pointers.
	SkipLFS bool
	// SkipSubmodules leaves the folders of submodules empty.
	SkipSubmodules bool
	// KeepGit leaves a .git that needs neither the cache nor this package: with the history of the commit,
	// all tags, the branch that was asked for as remote branch of origin, and HEAD detached at the commit.
	// Without it nothing of git's own is left.
	KeepGit bool
	// Depth is how many commits of the history KeepGit keeps; 0 means all. Tags are then those of the
	// commit alone.
	Depth int
	// SubPath is the folder, with slashes, whose files alone are wanted; they keep their paths. It
	// excludes KeepGit.
	SubPath string
	// Keys are public keys, one of which must have signed what is checked out; none means that no signature
	// is wanted. Each entry holds OpenPGP keys in armor, or lines of ssh keys as in an authorized_keys or an
	// allowed_signers file (ssh-keygen(1), ALLOWED SIGNERS). What must be signed is the tag that is asked for, if
	// that is an annotated one, and else the commit; one that is asked for by its name may instead have a signed tag.
	Keys [][]byte
}

// Info says what was checked out, in the way of vendir's lock.
type Info struct {
	// SHA names the commit.
	SHA string
	// Tags holds what git describe --tags gives for the commit: with KeepGit and no Depth also forms such as
	// v1.0-3-gabcdef0, otherwise a tag of the commit itself, if it has one.
	Tags []string
	// Title is the first line of the commit's message, with “...” if there are more.
	Title string
	// Time is when the commit was made.
	Time time.Time
}

// ErrNoCommit says that the repository doesn't have a commit.
var ErrNoCommit = errors.New("not found in the repository")

// Checkout writes the files of a commit, and of its submodules, into dir, an existing empty folder.
// What a mirror has already isn't fetched, and no more than is needed is: see the package's description.
// With keys, nothing is written before the signature was found good, whether the commit was fetched just
// now or lay in the cache.
func (r *Repository) Checkout(ctx context.Context, dir string, c Commit, o Options) (Info, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Info{}, err
	}
	if o.SubPath, err = cleanSubPath(o.SubPath); err != nil {
		return Info{}, err
	}
	if o.SubPath != "" && o.KeepGit {
		return Info{}, errors.New("a checkout of a sub-folder can't keep its .git")
	}
	return r.checkout(ctx, &checkout{dir: dir, gitDir: filepath.Join(dir, ".git"), want: c, Options: o})
}

// A checkout is one in the making, of a repository or of a submodule.
type checkout struct {
	Options
	dir string
	// gitDir is where KeepGit keeps git's own.
	gitDir string
	want   Commit
	// sha names the commit, once it is known.
	sha string
	// fetched is set once what the remote has was fetched: what is still missing then, such as a tag that
	// was deleted meanwhile, it doesn't have.
	fetched bool
	// nesting is the number of repositories that this one is a submodule of.
	nesting int
}

// history tells whether the whole history is needed.
func (c *checkout) history() bool { return c.KeepGit && c.Depth == 0 }

func (r *Repository) checkout(ctx context.Context, c *checkout) (Info, error) {
	keys, err := parseKeys(c.Keys)
	if err != nil {
		return Info{}, err
	}
	info, err := r.attempt(ctx, c, keys)
	if _, ok := errors.AsType[*signing.VerifyError](err); ok && c.want.refs == nil && len(c.want.Tags) == 0 {
		// A lock doesn't say that it was a tag that was signed.
		refs, failed := r.Refs(ctx, "refs/tags/*")
		if failed != nil {
			return Info{}, failed
		}
		if c.want.refs, c.want.Tags = refs, refs.tagsOf(c.sha); len(c.want.Tags) == 0 {
			return Info{}, err
		}
		c.fetched = false // the tags weren't
		return r.attempt(ctx, c, keys)
	}
	if err == nil || ctx.Err() != nil || !isDamage(err) {
		return info, err
	}
	// Either the files can't be written, or the mirror is damaged. Only all of its objects can tell.
	if mended, e := r.mend(ctx, c); e != nil || !mended {
		return info, err
	}
	if err := emptyFolder(c.dir); err != nil {
		return Info{}, err
	}
	return r.attempt(ctx, c, keys)
}

func (r *Repository) attempt(ctx context.Context, c *checkout, keys *keyring) (Info, error) {
	m, err := r.mirrorWith(ctx, c)
	if err != nil {
		return Info{}, err
	}
	defer m.close()
	info, err := m.describe(ctx, c, keys)
	if err != nil {
		return Info{}, err
	}
	if c.KeepGit {
		err = m.keep(ctx, c)
	} else {
		err = m.files(ctx, c)
	}
	if err != nil {
		return Info{}, err
	}
	if c.SkipSubmodules {
		return info, nil
	}
	return info, m.submodules(ctx, c)
}

// cleanSubPath gives a path without needless parts, “” for all of a repository.
func cleanSubPath(sub string) (string, error) {
	if sub == "" {
		return "", nil
	}
	clean := path.Clean(sub)
	switch {
	case clean == ".":
		return "", nil
	case !filepath.IsLocal(clean) || strings.ContainsFunc(clean, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("%q is not a folder inside the repository", sub)
	}
	return clean, nil
}

// emptyFolder removes what is in a folder.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
