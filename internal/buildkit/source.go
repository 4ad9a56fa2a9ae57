package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"

	"strake.dev/strake/stages/filesum"
)

// DefaultDockerfile is the Dockerfile of sources that name none.
const DefaultDockerfile = "Dockerfile"

// maxDockerfile is what BuildKit's frontend reads of a Dockerfile or .dockerignore at most, in bytes.
const maxDockerfile = 16 << 20

// A Source is a folder or a repository with a Dockerfile, and how to build it.
type Source struct {
	// Remote is the URL of a git repository that the daemon takes the context and the Dockerfile from, in a
	// form that [CheckRemote] accepts. Context is empty then, and Dockerfile a path in the repository's
	// folder. Root holds what the options name.
	Remote string
	// Root holds the files. Nothing outside of it is read. It has to stay open while the source is
	// in use.
	Root *os.Root
	// Context is the path in Root of the folder that the Dockerfile's COPY and ADD read.
	Context string
	// Dockerfile is the path in Root of the Dockerfile. It may lie outside of Context.
	Dockerfile string
	// Sums, if not nil, are the digests of Root's files that need not be read again. Whoever made it sees
	// to it that it is saved.
	Sums *filesum.Cache
	// Confined refuses symbolic links that lead out of Root. Nobody follows them here in any case.
	Confined bool
	Options
}

// Options say how to build a source.
type Options struct {
	// Target is the stage to build; empty means the last one.
	Target string
	// Platforms are in the form linux/arm64; none means that of the daemon, several make an index.
	Platforms []string
	// Args are the values of the Dockerfile's ARGs.
	Args map[string]string
	// Labels are added to the image's configuration.
	Labels map[string]string
	// Annotations are added to the image's manifest, or where a key begins with “index:”, to the index.
	Annotations map[string]string
	// Contexts are what FROM, COPY --from and RUN --mount=from may name besides stages and images.
	Contexts map[string]Context
	// Secrets are what RUN --mount=type=secret may name. Their values are read only when there is
	// something to build, and are no part of the input's digest; their names are.
	Secrets map[string]Secret
	// SSH are what RUN --mount=type=ssh may name: for each name the socket of an agent or key files;
	// none is the agent of SSH_AUTH_SOCK.
	SSH map[string][]string
	// CacheFrom and CacheTo are where steps that the daemon hasn't run may be taken from, and where
	// those that it has are kept for others.
	CacheFrom, CacheTo []Cache
	// Provenance is “min” or “max” for an attestation of how the image was built; empty for none. It
	// holds times, so that the image's digest is another one for each build.
	Provenance string
	// SBOM names the image that makes a software bill of materials, or is “true” for BuildKit's own
	// choice; empty for none.
	SBOM string
	// NoCache makes a build run every step again.
	NoCache bool
	// NoCacheFilter are stages whose steps are run again.
	NoCacheFilter []string
	// Pull makes a build ask the registry for base images that the daemon already has.
	Pull bool
	// Network is that of RUN: default, none or host; empty means default.
	Network string
	// Entitlements are rights that the daemon grants to the build: network.host, security.insecure.
	Entitlements []string
	// Hosts are added to /etc/hosts of RUN, each NAME=IP.
	Hosts []string
	// ShmSize is the size of /dev/shm of RUN, in bytes; 0 is the daemon's own.
	ShmSize int64
	// Ulimits are limits of RUN, each NAME=SOFT[:HARD].
	Ulimits []string
	// CgroupParent is the control group that RUN's containers are put below.
	CgroupParent string
}

// A Context is a named context. Exactly one field is set.
type Context struct {
	// Folder is a path in the source's Root.
	Folder string
	// Layout is the path in Root of an OCI layout, followed by @ and a digest, or by : and a tag of its
	// index.
	Layout string
	// URL is that of a git repository or file, or docker-image://REFERENCE.
	URL string
}

// A Secret reads the value of a secret.
type Secret func(ctx context.Context) ([]byte, error)

// A Cache is a place for build steps, in BuildKit's words.
type Cache struct {
	// Type is registry, inline, local, gha, s3 or azblob.
	Type string
	// Attrs are its attributes, such as ref of a registry, or dest and src of a local folder.
	Attrs map[string]string
}

// A Build is a source that was read: its files can't be exchanged between the digest and the build
// without notice, as long as nobody writes to them.
type Build struct {
	source     Source
	context    *tree
	dockerfile []byte
	// ignore is the .dockerignore that counts; nil if there is none.
	ignore []byte
	// ownIgnore tells that ignore lies beside the Dockerfile.
	ownIgnore bool
	contexts  map[string]namedContext
	// epoch is a SOURCE_DATE_EPOCH that was asked for; it is part of the input. Empty means that date
	// counts, which is no part.
	epoch, date string
	pins        Pins
	strict      bool
}

// Load reads a source. epoch is the SOURCE_DATE_EPOCH that the user asks for, in seconds since 1970, or
// empty; see [Client.Epoch] and [Build.SetDate].
func Load(ctx context.Context, s Source, epoch string) (*Build, error) {
	if s.Dockerfile == "" {
		s.Dockerfile = path.Join(s.Context, DefaultDockerfile)
	}
	b := &Build{source: s, epoch: epoch, date: strconv.Itoa(fixedTime)}
	if v, ok := s.Args[epochArg]; ok {
		b.epoch = v
	}
	if s.Remote != "" {
		b.context = &tree{}
		if err := CheckRemote(s.Remote); err != nil {
			return nil, err
		}
		return b, b.readContexts(ctx)
	}
	info, err := s.Root.Stat(s.Context)
	if err != nil {
		return nil, readError(s.Context, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: expected a folder, as the context of the build, found a file", s.Context)
	}
	if err := b.readDockerfile(); err != nil {
		return nil, err
	}
	if err := b.readIgnore(); err != nil {
		return nil, err
	}
	var patterns []string
	if b.ignore != nil {
		if patterns, err = ignorefile.ReadAll(strings.NewReader(string(b.ignore))); err != nil {
			return nil, fmt.Errorf(".dockerignore of %s: %w", s.Context, err)
		}
	}
	if b.context, err = b.readTree(ctx, s.Context, patterns); err != nil {
		return nil, fmt.Errorf("build context %s: %w", s.Context, err)
	}
	return b, b.readContexts(ctx)
}

// readTree reads what the patterns of a .dockerignore leave of a folder.
func (b *Build) readTree(ctx context.Context, dir string, ignore []string) (*tree, error) {
	t, err := readTree(ctx, b.source.Root, dir, ignore, b.source.Sums.Below(dir))
	if err != nil {
		return nil, err
	}
	if b.source.Confined {
		if err := t.checkLinks(b.source.Root, dir); err != nil {
			return nil, err
		}
	}
	t.open = func(name string) (io.ReadCloser, error) { return b.source.Root.Open(path.Join(dir, name)) }
	return t, nil
}

// SetDate sets the SOURCE_DATE_EPOCH of a build for which none was asked for: the time of the source's
// commit, in seconds since 1970. It is no part of the input, so that a commit that doesn't touch the
// source builds nothing. Without it, the time is a fixed one.
func (b *Build) SetDate(seconds string) {
	if seconds != "" {
		b.date = seconds
	}
}

// Date is the SOURCE_DATE_EPOCH of the build.
func (b *Build) Date() string { return cmp.Or(b.epoch, b.date) }

// Pin has the daemon take exactly what the pins say for the references of the Dockerfile. With strict, it
// refuses to build from anything else that may be another thing tomorrow.
func (b *Build) Pin(pins Pins, strict bool) { b.pins, b.strict = pins, strict }

func (b *Build) readDockerfile() error {
	s := &b.source
	data, err := readLimited(s.Root, s.Dockerfile)
	// Docker takes “dockerfile” too where there is no “Dockerfile”.
	if errors.Is(err, fs.ErrNotExist) && path.Base(s.Dockerfile) == DefaultDockerfile {
		lower := path.Join(path.Dir(s.Dockerfile), strings.ToLower(DefaultDockerfile))
		if other, err2 := readLimited(s.Root, lower); err2 == nil {
			s.Dockerfile, data, err = lower, other, nil
		}
	}
	if err != nil {
		return readError(s.Dockerfile, err)
	}
	b.dockerfile = data
	return nil
}

// readIgnore reads <Dockerfile>.dockerignore, or else the context's .dockerignore.
func (b *Build) readIgnore() error {
	for i, name := range []string{b.source.Dockerfile + ".dockerignore", path.Join(b.source.Context, ".dockerignore")} {
		data, err := readLimited(b.source.Root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return readError(name, err)
		}
		b.ignore, b.ownIgnore = data, i == 0
		return nil
	}
	return nil
}

func readLimited(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDockerfile {
		return nil, fmt.Errorf("%s: has %d bytes, expected at most %d", name, info.Size(), maxDockerfile)
	}
	return root.ReadFile(name)
}

// readError names the file in the words of the user's configuration, not by the workspace's path.
func readError(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file or folder", name)
	case strings.Contains(err.Error(), "escapes"):
		return fmt.Errorf("%s: leads out of the App's folder", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}
