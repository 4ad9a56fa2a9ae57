// Package git gets the files of one commit out of a repository, with the git of the machine.
//
// Git runs without a terminal, without hooks, and with no other transports than file, git, http,
// https and ssh. The user's own configuration counts (credential helpers, proxies, mirrors), except
// where it would change what is checked out. Secrets reach git through its environment or through
// files that only the user can read, and neither arguments nor errors show them.
package git

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Auth is how to sign in to a repository. The zero value leaves that to the user's own git and ssh
// configuration.
type Auth struct {
	// Username and Password are for the repository's own host, over https only.
	Username, Password string
	// ForceBasic sends Username and Password with the first request, without being asked.
	ForceBasic bool
	// PrivateKey is an ssh key, and KnownHosts the only host keys to accept.
	PrivateKey, KnownHosts []byte
}

func (a Auth) empty() bool { return !a.basic() && !a.ssh() }
func (a Auth) basic() bool { return a.Username != "" || a.Password != "" }
func (a Auth) ssh() bool   { return len(a.PrivateKey) > 0 || len(a.KnownHosts) > 0 }

// A Repository is a remote repository. Its methods may be called one after another.
type Repository struct {
	url string
	// temp holds keys, and the object database while files are checked out.
	temp string
	env  []string
	// secrets are taken out of what git says.
	secrets *strings.Replacer
	// trusting is set where any server's key is accepted at first sight.
	trusting bool
	// Progress, if not nil, is told what git is doing.
	Progress func(line string)
}

// Open prepares access to the repository at an address that [CheckURL] has found good; it asks the
// remote nothing yet. Keys and objects lie in a new folder below temp, or below the system's if that is
// empty, until the caller calls Close.
func Open(address string, auth Auth, temp string) (*Repository, error) {
	address, auth = moveCredentials(address, auth)
	if auth.basic() && !strings.HasPrefix(address, "https://") {
		return nil, fmt.Errorf("username and password are only for https repositories, and %s is none", Redacted(address))
	}
	temp, err := os.MkdirTemp(temp, "strake-git-")
	if err != nil {
		return nil, err
	}
	r := &Repository{url: address, temp: temp, secrets: auth.redactor(), trusting: auth.ssh() && len(auth.KnownHosts) == 0}
	if r.env, err = environment(os.Environ(), address, auth, temp); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// TrustsUnknownHosts tells whether an ssh server is accepted without its key being known.
func (r *Repository) TrustsUnknownHosts() bool { return r.trusting }

// Close removes the keys and the object database.
func (r *Repository) Close() error { return os.RemoveAll(r.temp) }

// Info says what was checked out, in the way of vendir's lock.
type Info struct {
	// SHA names the commit.
	SHA string
	// Tags holds the tag that git describe gives for the commit, if it has one.
	Tags []string
	// Title is the first line of the commit's message, with “...” if there are more.
	Title string
	// Time is when the commit was made.
	Time time.Time
}

// Options of a checkout.
type Options struct {
	// SkipLFS leaves the files of git-lfs as pointers.
	SkipLFS bool
}

// Checkout writes the files of a commit, and of its submodules, into dir, an existing empty folder.
// No history is fetched where the server allows that.
func (r *Repository) Checkout(ctx context.Context, dir string, c Commit, o Options) (Info, error) {
	w := &worktree{r: r, dir: dir}
	if o.SkipLFS {
		w.env = append(w.env, "GIT_LFS_SKIP_SMUDGE=1")
	}
	if err := w.init(ctx, c); err != nil {
		return Info{}, err
	}
	sha, err := w.fetch(ctx, c)
	if err != nil {
		return Info{}, err
	}
	info, err := w.describe(ctx, sha)
	if err != nil {
		return Info{}, err
	}
	if _, err := w.git(ctx, "checkout", "--quiet", "--detach", "--force", sha); err != nil {
		return Info{}, err
	}
	return info, w.submodules(ctx)
}
