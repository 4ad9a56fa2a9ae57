package buildkit

import (
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/util/gitutil"
	"github.com/moby/buildkit/util/urlutil"
)

// A gitRef is a git repository as ADD or a named context gives it.
type gitRef struct {
	// remote is the repository's URL.
	remote string
	// ref is a branch, tag or commit, or empty for the repository's own choice.
	ref string
	// folder is the one to take, or empty.
	folder string
	// identifier is BuildKit's name of the source, where it is known.
	identifier string
}

// GitPin is the reference of the pin that says what a reference of a repository is.
func GitPin(remote, ref string) string { return gitRef{remote: remote, ref: ref}.String() }

// gitReference reads a URL as BuildKit does; ok is false for one that names a file.
func gitReference(url string) (ref gitRef, ok bool) {
	parsed, isGit, err := dfgitutil.ParseGitRef(url)
	if err != nil || !isGit || parsed.IndistinguishableFromLocal {
		return ref, false
	}
	return gitRef{remote: parsed.Remote, ref: parsed.Ref, folder: parsed.SubDir}, true
}

// String is the URL with the reference and the folder, without a password.
func (g gitRef) String() string {
	text := g.remote
	if u, err := gitutil.ParseURL(g.remote); err == nil {
		text = urlutil.RedactCredentials(u.Remote)
	}
	if g.ref != "" || g.folder != "" {
		text += "#" + g.ref
	}
	if g.folder != "" {
		text += ":" + g.folder
	}
	return text
}

// source is BuildKit's identifier of the source: without the protocol, so that one repository has one
// name however it is reached.
func (g gitRef) source() string {
	if g.identifier != "" {
		return g.identifier
	}
	id := g.remote
	if u, err := gitutil.ParseURL(g.remote); err == nil {
		id = u.Host + path.Join("/", u.Path)
	}
	if g.ref != "" || g.folder != "" {
		id += "#" + g.ref
	}
	if g.folder != "" {
		id += ":" + g.folder
	}
	return "git://" + id
}

// gitSource is the identifier of a git source that a lock file names.
func gitSource(text string) string {
	if ref, ok := gitReference(text); ok {
		return ref.source()
	}
	remote, fragment, _ := strings.Cut(text, "#")
	ref := gitRef{remote: remote}
	ref.ref, ref.folder, _ = strings.Cut(fragment, ":")
	return ref.source()
}
