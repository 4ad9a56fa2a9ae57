package git

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Commit is what a reference points to.
type Commit struct {
	// SHA names the commit; it is empty where that takes the history, as for v1.0~2 or a short name.
	SHA string
	// Ref is the full name of the reference that was found, such as refs/heads/main; it may be empty.
	Ref string
	// Tags are the tags of the commit.
	Tags []string
	// Expression is what was asked for where SHA is empty.
	Expression string

	// refs are those of the remote, as far as they are known.
	refs Refs
}

var fullSHA = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// IsSHA tells whether a reference is the full name of a commit.
func IsSHA(ref string) bool { return fullSHA.MatchString(ref) }

// CheckRef tells what is wrong with a reference before it is used.
func CheckRef(ref string) error {
	switch {
	case strings.HasPrefix(ref, "-"), strings.HasPrefix(ref, "origin/-"):
		return errors.New("begins with “-”, as options of git do")
	case strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("has a space or a control character")
	}
	return nil
}

// Refs are the references of a repository: names and the commits that they point to, tags peeled.
type Refs map[string]string

// Refs asks the repository for its references; with names, only for those that end in one of them.
func (r *Repository) Refs(ctx context.Context, names ...string) (Refs, error) {
	args := []string{"ls-remote", "--quiet", "--", r.url}
	out, err := r.remote(ctx, call{args: append(args, names...)})
	if err != nil {
		return nil, err
	}
	r.admitted = true
	return parseRefs(out)
}

// parseRefs reads the lines of ls-remote. The commit of an annotated tag is on a line of its own,
// after that of the tag and under its name with ^{}.
func parseRefs(out string) (Refs, error) {
	refs := Refs{}
	for line := range strings.Lines(out) {
		sha, name, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if !ok || !IsSHA(sha) || name == "" {
			return nil, fmt.Errorf("unexpected line %q from git ls-remote", line)
		}
		if name = strings.TrimSuffix(name, "^{}"); safeName(name) {
			refs[name] = sha
		}
	}
	return refs, nil
}

// safeName tells whether a name that a remote gives can be that of a reference, by those rules of git
// check-ref-format that keep it from meaning something else in a command.
func safeName(name string) bool {
	return name == "HEAD" || strings.HasPrefix(name, "refs/") && !strings.ContainsAny(name, " ~^:?*[\\\x7f") && !strings.Contains(name, "..") &&
		!strings.Contains(name, "@{") && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' })
}

// Patterns are what to ask [Repository.Refs] for in order to Resolve a reference.
func Patterns(ref string) []string {
	short := strings.TrimPrefix(ref, "origin/")
	if strings.ContainsAny(short, "*?[\\^~:@{") {
		return nil
	}
	return []string{short, short + "^{}"}
}

// Resolve finds what a reference points to: a full name (refs/heads/main), a tag, a branch, a branch
// as origin/main, or the full name of a commit. A short name is a tag's first and then a branch's, as
// for git itself; with origin/ it is a branch's first. ok is false if the remote has no such
// reference; then only its history can tell whether it is, say, a short name of a commit.
func (refs Refs) Resolve(ref string) (Commit, bool) {
	if IsSHA(ref) {
		return Commit{SHA: ref, Tags: refs.tagsOf(ref), refs: refs}, true
	}
	candidates := []string{ref, "refs/" + ref, "refs/tags/" + ref, "refs/heads/" + ref}
	if short, ok := strings.CutPrefix(ref, "origin/"); ok {
		candidates = []string{"refs/heads/" + short, "refs/tags/" + short}
	}
	for _, name := range candidates {
		if sha, ok := refs[name]; ok && (name == "HEAD" || strings.HasPrefix(name, "refs/")) {
			return Commit{SHA: sha, Ref: name, Tags: refs.tagsOf(sha), refs: refs}, true
		}
	}
	return Commit{Expression: ref, refs: refs}, false
}

const tagPrefix = "refs/tags/"

// Tags are the short names of the tags, sorted.
func (refs Refs) Tags() []string {
	var tags []string
	for name := range refs {
		if tag, ok := strings.CutPrefix(name, tagPrefix); ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags
}

func (refs Refs) tagsOf(sha string) []string {
	return slices.DeleteFunc(refs.Tags(), func(tag string) bool { return refs[tagPrefix+tag] != sha })
}
