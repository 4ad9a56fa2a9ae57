// Package hg gets the files of one changeset out of a Mercurial repository, with the hg of the machine.
//
// What comes from a remote goes into a clone, and what is checked out is cloned from that by hard links. With
// a [cache.Store] the clones stay, one for each address, shared by Apps and processes; without, they are
// temporary. A changeset that the clone has is never pulled again. A clone is marked while it is pulled into,
// and one that is still marked afterwards, because the pull was killed, is thrown away; so is one that
// hg verify finds damaged after a checkout out of it has failed. As with package git, credentials that have
// never been let in by the remote are shown to it before they get anything out of the cache.
//
// Hg runs without a terminal, without aliases, and without any .hg/hgrc: no hook and no extension of a
// repository runs. Subrepositories are refused, for they could be any repository of this machine. Without
// credentials the user's own configuration counts, as for vendir; with, nothing else does. Secrets reach hg
// through files that only the user can read.
package hg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/stages"
)

// A Repository is a remote repository. Its methods may be called one after another.
type Repository struct {
	url string
	// temp holds keys, configuration, and without a cache the clone.
	temp string
	auth git.Auth
	env  []string
	// secrets are taken out of what hg says.
	secrets *strings.Replacer
	// admitted is set once the remote has answered to these credentials.
	admitted bool
	evolve   bool
	// backoff is how long to wait before an attempt to reach the remote is repeated for the first time.
	backoff time.Duration

	// Progress, if not nil, is told what hg is doing.
	Progress func(line string)
	// Cache keeps clones; without it nothing is kept.
	Cache *cache.Store
}

// Open prepares access to the repository at an address that [CheckURL] has found good; it asks the remote
// nothing yet. With evolve the extensions evolve and topic are on, which must be installed. Keys and clones lie
// in a new folder below temp, or below the system's if that is empty, until the caller calls Close.
func Open(address string, auth git.Auth, evolve bool, temp string) (*Repository, error) {
	address, auth = moveCredentials(address, auth)
	if (auth.Username != "" || auth.Password != "") && !strings.HasPrefix(address, "https://") {
		return nil, fmt.Errorf("username and password are only for https repositories, and %s is none", git.Redacted(address))
	}
	temp, err := os.MkdirTemp(temp, "strake-hg-")
	if err != nil {
		return nil, err
	}
	r := &Repository{url: address, temp: temp, auth: auth, evolve: evolve, backoff: git.FirstWait, secrets: strings.NewReplacer()}
	if auth.Password != "" {
		r.secrets = strings.NewReplacer(auth.Password, "***", url.QueryEscape(auth.Password), "***")
	}
	if r.env, err = r.environment(os.Environ()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// moveCredentials takes credentials out of an address, where other users of the machine would see them.
func moveCredentials(address string, auth git.Auth) (string, git.Auth) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || u.Scheme != "http" && u.Scheme != "https" {
		return address, auth
	}
	if auth.Username == "" && auth.Password == "" {
		auth.Username = u.User.Username()
		auth.Password, _ = u.User.Password()
	}
	u.User = nil
	return u.String(), auth
}

// TrustsUnknownHosts tells whether an ssh server is accepted without its key being known.
func (r *Repository) TrustsUnknownHosts() bool {
	return len(r.auth.PrivateKey) > 0 && len(r.auth.KnownHosts) == 0
}

// Close removes the keys and what else is temporary.
func (r *Repository) Close() error { return os.RemoveAll(r.temp) }

// transports are the ones that hg may use.
var transports = []string{"file", "http", "https", "ssh"}

// CheckURL tells what is wrong with a repository's address before it is used: only URLs of known transports and
// absolute paths are accepted.
func CheckURL(address string) error {
	switch {
	case address == "":
		return errors.New("is empty")
	case strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("has a control character")
	case filepath.IsAbs(address):
		return nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme == "":
		return errors.New("is neither a URL nor an absolute path")
	case !slices.Contains(transports, u.Scheme):
		return fmt.Errorf("has the scheme %q, expected one of %s", u.Scheme, strings.Join(transports, ", "))
	case u.Host == "" && u.Scheme != "file":
		return errors.New("names no host")
	case u.Host != "" && u.Scheme == "file":
		return errors.New("names a host, which a file can't have")
	case strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-") || u.Scheme == "ssh" && strings.HasPrefix(strings.TrimLeft(u.Path, "/"), "-"):
		return errors.New("has a part that begins with “-”, as options of ssh do")
	}
	return nil
}

// reaching are the functions of revision sets that open other repositories.
var reaching = regexp.MustCompile(`(?i)\b(remote|outgoing|bundle)\s*\(`)

// CheckRef tells what is wrong with a reference before it is used.
func CheckRef(ref string) error {
	switch {
	case ref == "":
		return errors.New("is empty")
	case strings.HasPrefix(ref, "-"):
		return errors.New("begins with “-”, as options of hg do")
	case strings.ContainsFunc(ref, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("has a control character")
	case reaching.MatchString(ref):
		return errors.New("has a function that opens another repository")
	}
	return nil
}

var fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)

// IsSHA tells whether a reference is the full name of a changeset.
func IsSHA(ref string) bool { return fullSHA.MatchString(ref) }

// ErrNoChangeset says that the repository doesn't have a changeset.
var ErrNoChangeset = errors.New("not found in the repository")

// Resolve asks the remote for the full name of the changeset that a branch, bookmark, tag or name stands for. It
// is an [ErrNoChangeset] also where only the history can tell, as for default~2.
func (r *Repository) Resolve(ctx context.Context, ref string) (string, error) {
	if IsSHA(ref) {
		return ref, nil
	}
	out, err := r.remote(ctx, "identify", "--debug", "--id", "--rev="+ref, "--", r.url)
	if err != nil {
		return "", err
	}
	r.admitted = true
	return parseIdentity(out)
}

// parseIdentity finds the full name of a changeset in the output of hg identify --debug, which says more.
func parseIdentity(out string) (string, error) {
	for line := range strings.Lines(out) {
		if sha := strings.TrimSpace(line); IsSHA(sha) {
			return sha, nil
		}
	}
	return "", fmt.Errorf("unexpected answer %q from hg identify", out)
}

// ErrNotInstalled says that the machine has no hg.
var ErrNotInstalled = errors.New("hg is not installed: not found on PATH")

func notInstalled() error {
	return stages.WithHint(ErrNotInstalled, "install Mercurial, which hg sources are fetched with")
}
