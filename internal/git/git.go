// Package git gets the files of one commit out of a repository, with the git of the machine.
//
// # Mirrors
//
// What comes from a remote goes into bare repositories, the mirrors, and what is checked out comes out of
// them. With a [cache.Store] they stay, one folder for each address, shared by Apps and processes; without,
// they are temporary. A folder has up to three mirrors, made when they are needed:
//
//   - shallow has single commits with all their files, for checkouts without history;
//   - sparse has single commits with their folders, and of the files those that were asked for, for
//     checkouts of a sub-folder (where a server doesn't know filters: all files);
//   - full has whole histories and all tags, for checkouts that keep their .git, and for what only a
//     history can tell, such as v1.0~2 or a short name of a commit.
//
// A checkout takes any mirror that has what it needs, under a shared lock, and asks the remote nothing.
// Otherwise it takes the exclusive lock, looks again, for another one may have fetched it meanwhile, and
// fetches what is missing, into the fullest mirror that serves and is there. So a commit comes over the network once, and of a new commit only what is new.
//
// A mirror appears in its place when it is complete, git itself moves objects into it when they are, and
// nothing is ever taken out of it but by packing many packs into one. What a killed fetch leaves is
// swept by the next. If a checkout out of a mirror fails, all objects of the mirror are checked; a damaged
// one is thrown away and fetched anew. Mirrors hold no secrets: addresses in them have no credentials.
//
// A mirror gives nothing to those who couldn't fetch it: credentials that have never been let in by the
// remote are shown to it first.
//
// # Safety
//
// Git runs without a terminal, without hooks, and with no other transports than file, git, http,
// https and ssh. The user's own configuration counts (credential helpers, proxies, mirrors), except
// where it would change what is checked out. Secrets reach git through its environment or through
// files that only the user can read, and neither arguments nor errors show them.
package git

import (
	"fmt"
	"os"
	"strings"
	"time"

	"strake.dev/strake/internal/cache"
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
	// SkipTLSVerify accepts any certificate of the repository's own host.
	SkipTLSVerify bool
}

func (a Auth) empty() bool { return !a.basic() && !a.ssh() }
func (a Auth) basic() bool { return a.Username != "" || a.Password != "" }
func (a Auth) ssh() bool   { return len(a.PrivateKey) > 0 || len(a.KnownHosts) > 0 }

// A Repository is a remote repository. Its methods may be called one after another.
type Repository struct {
	url string
	// temp holds keys, indexes, and without a cache the mirrors.
	temp string
	env  []string
	// secrets are taken out of what git says.
	secrets *strings.Replacer
	// trusting is set where any server's key is accepted at first sight.
	trusting bool
	// admitted is set once the remote has answered to these credentials.
	admitted bool
	// watched is set once ssh is told to give up a silent server, if it is used.
	watched bool
	// submodule is set for a repository that another one names. It must not be one of this machine:
	// whoever wrote the other one could read it so. Git itself has the same rule (CVE-2022-39253).
	submodule bool
	auth      Auth
	// backoff is how long to wait before an attempt to reach the remote is repeated for the first time.
	backoff time.Duration

	// Progress, if not nil, is told what git is doing.
	Progress func(line string)
	// Cache keeps mirrors; without it nothing is kept.
	Cache *cache.Store
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
	r := &Repository{url: address, temp: temp, secrets: auth.redactor(), trusting: auth.ssh() && len(auth.KnownHosts) == 0, auth: auth, backoff: FirstWait}
	if r.env, err = environment(os.Environ(), address, auth, temp); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// TrustsUnknownHosts tells whether an ssh server is accepted without its key being known.
func (r *Repository) TrustsUnknownHosts() bool { return r.trusting }

// Close removes the keys and what else is temporary.
func (r *Repository) Close() error { return os.RemoveAll(r.temp) }
