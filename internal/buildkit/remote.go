package buildkit

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/stages"
)

// IsRemote tells whether the path of a source is meant to be a URL, as [Source.Remote] has it.
func IsRemote(text string) bool {
	return strings.Contains(text, "://") || strings.HasPrefix(text, "git@")
}

// CheckRemote tells whether a URL names a git repository in a form that BuildKit takes for one.
func CheckRemote(text string) error {
	if _, ok := gitReference(text); !ok {
		return stages.WithHint(fmt.Errorf("%s: expected the URL of a git repository", git.Redacted(text)),
			"in the form https://HOST/REPOSITORY.git#REF:FOLDER")
	}
	return nil
}

// RemoteURL is the URL of a remote's repository, without credentials, reference and folder.
func RemoteURL(text string) string {
	ref, _ := gitReference(text)
	return git.Redacted(ref.remote)
}

// remoteContext is a remote in the form that the frontend is given. With a SOURCE_DATE_EPOCH it wants files
// to have the commit's time, for which BuildKit 0.33 fails to run git where a folder is given. That of the
// checkout does as well: in the image no time is later than the epoch.
func remoteContext(text string) string {
	ref, _ := gitReference(text)
	u, err := url.Parse(text)
	if ref.folder == "" || err != nil || u.Scheme == "" {
		return text
	}
	query := u.Query()
	query.Set("mtime", "checkout")
	u.RawQuery = query.Encode()
	return u.String()
}

// main pins the repository of the main context. Its commit stands for all that is in it.
func (c *collector) main(ctx context.Context, remote string) error {
	ref, ok := gitReference(remote)
	if !ok || commitForm.MatchString(ref.ref) {
		return nil
	}
	commit, err := c.resolver.Commit(ctx, ref.remote, ref.ref)
	if err != nil {
		return fmt.Errorf("source %s: %w", ref, err)
	}
	c.add(Pin{Kind: PinGit, Ref: ref.String(), Digest: commit, source: ref.source()})
	return nil
}

// Commit is the commit that a build takes from its [Source.Remote], given what it takes from elsewhere.
func (b *Build) Commit(pins Pins) string {
	ref, _ := gitReference(b.source.Remote)
	if pin, ok := pins.Find(ref.String()); ok {
		return pin.Digest
	}
	return ref.ref
}

// contextDigest is over what the context holds; of a remote, over its URL: its commit is one of the pins.
func (b *Build) contextDigest() string {
	if b.source.Remote == "" {
		return b.context.digest()
	}
	return textSum("remote " + withoutUser(b.source.Remote))
}

func (b *Build) dockerfileDigest() string {
	if b.source.Remote == "" {
		return textSum(string(b.dockerfile))
	}
	return textSum("remote " + b.source.Dockerfile)
}
