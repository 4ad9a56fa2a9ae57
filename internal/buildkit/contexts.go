package buildkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/patternmatcher/ignorefile"
)

// refName is the annotation of an OCI layout's index that names an image.
const refName = "org.opencontainers.image.ref.name"

// A namedContext is a [Context] that was read. One of tree, layout and url is set.
type namedContext struct {
	tree   *tree
	layout *layoutContext
	url    string
}

// A layoutContext is an image in an OCI layout.
type layoutContext struct {
	// dir is the path of the layout in the source's Root.
	dir    string
	digest v1.Hash
}

// readContexts reads the named contexts.
func (b *Build) readContexts(ctx context.Context) error {
	b.contexts = map[string]namedContext{}
	for _, name := range slices.Sorted(maps.Keys(b.source.Contexts)) {
		c, err := b.readContext(ctx, name, b.source.Contexts[name])
		if err != nil {
			return fmt.Errorf("named context %s: %w", name, err)
		}
		b.contexts[name] = c
	}
	return nil
}

func (b *Build) readContext(ctx context.Context, name string, c Context) (namedContext, error) {
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return namedContext{}, fmt.Errorf("the name has to have the form of an image's: %w", err)
	}
	switch {
	case c.URL != "":
		return namedContext{url: c.URL}, checkContextURL(c.URL)
	case c.Layout != "":
		layout, err := b.readLayout(c.Layout)
		return namedContext{layout: layout}, err
	}
	tree, err := b.readFolder(ctx, c.Folder)
	return namedContext{tree: tree}, err
}

// contextSchemes are the kinds of URL that BuildKit takes for a named context.
var contextSchemes = []string{"docker-image", "http", "https", "git", "ssh"}

func checkContextURL(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	if ok && rest != "" && slices.Contains(contextSchemes, scheme) || strings.HasPrefix(text, "git@") {
		return nil
	}
	return fmt.Errorf("expected a URL that begins with %s://, found %q", strings.Join(contextSchemes, "://, "), text)
}

// readFolder reads a folder with the .dockerignore that lies in it: one beside the Dockerfile is for
// the main context only.
func (b *Build) readFolder(ctx context.Context, dir string) (*tree, error) {
	root := b.source.Root
	info, err := root.Stat(dir)
	if err != nil {
		return nil, readError(dir, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: expected a folder, found a file", dir)
	}
	ignore, err := readLimited(root, path.Join(dir, ".dockerignore"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, readError(path.Join(dir, ".dockerignore"), err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignore))
	if err != nil {
		return nil, fmt.Errorf(".dockerignore of %s: %w", dir, err)
	}
	return b.readTree(ctx, dir, patterns)
}

// maxIndex is how much of a layout's index or manifest is read, in bytes.
const maxIndex = 16 << 20

// readLayout finds the image that PATH:TAG or PATH@DIGEST names.
func (b *Build) readLayout(ref string) (*layoutContext, error) {
	dir, tag, digest, err := splitLayout(ref)
	if err != nil {
		return nil, err
	}
	l := &layoutContext{dir: dir}
	if tag == "" {
		l.digest, err = v1.NewHash(digest)
	} else {
		l.digest, err = b.taggedIn(dir, tag)
	}
	if err != nil {
		return nil, err
	}
	name := blobPath(dir, l.digest)
	info, err := b.source.Root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the OCI layout %s has no %s", dir, l.digest)
	case err != nil:
		return nil, readError(name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: expected a file", name)
	}
	return l, nil
}

// splitLayout takes PATH:TAG or PATH@DIGEST apart.
func splitLayout(ref string) (dir, tag, digest string, err error) {
	if dir, digest, ok := strings.Cut(ref, "@"); ok && dir != "" {
		if _, err := v1.NewHash(digest); err != nil {
			return "", "", "", fmt.Errorf("OCI layout %q: expected @sha256: and 64 hex digits after the folder", ref)
		}
		return dir, "", digest, nil
	}
	at := strings.LastIndexByte(ref, ':')
	if at < 1 || at == len(ref)-1 || strings.Contains(ref[at:], "/") {
		return "", "", "", fmt.Errorf("OCI layout %q: expected a folder and the tag or digest of an image, as in %s:latest or %[2]s@sha256:…", ref, strings.TrimRight(ref, ":@"))
	}
	return ref[:at], ref[at+1:], "", nil
}

// taggedIn finds a tag in the index of a layout.
func (b *Build) taggedIn(dir, tag string) (v1.Hash, error) {
	name := path.Join(dir, "index.json")
	data, err := readLimited(b.source.Root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return v1.Hash{}, fmt.Errorf("%s: expected an OCI layout, found no index.json in it", dir)
	}
	if err != nil {
		return v1.Hash{}, readError(name, err)
	}
	desc, tags, err := tagged(data, tag)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%s: %w", name, err)
	}
	if desc == nil {
		return v1.Hash{}, fmt.Errorf("the OCI layout %s has no image with the tag %s, but %s", dir, tag, orNone(tags))
	}
	return desc.Digest, nil
}

// tagged finds the image of a tag in the index of a layout, and lists the tags that there are.
func tagged(index []byte, tag string) (desc *v1.Descriptor, tags []string, err error) {
	manifest, err := v1.ParseIndexManifest(bytes.NewReader(index))
	if err != nil {
		return nil, nil, fmt.Errorf("expected the index of an OCI layout: %w", err)
	}
	for i, m := range manifest.Manifests {
		if m.Annotations[refName] == "" {
			continue
		}
		tags = append(tags, m.Annotations[refName])
		// Of several with one name the last one counts, as it was written last.
		if m.Annotations[refName] == tag {
			desc = &manifest.Manifests[i]
		}
	}
	return desc, tags, nil
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// blobPath is the path of a blob of a layout.
func blobPath(dir string, h v1.Hash) string { return path.Join(dir, "blobs", h.Algorithm, h.Hex) }

// contextsDigest is over all named contexts; it is empty when there are none.
func (b *Build) contextsDigest() string {
	if len(b.contexts) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(b.contexts)) {
		switch c := b.contexts[name]; {
		case c.tree != nil:
			fmt.Fprintf(sum, "folder %q %s\n", name, c.tree.digest())
		case c.layout != nil:
			fmt.Fprintf(sum, "layout %q %s\n", name, c.layout.digest)
		default:
			fmt.Fprintf(sum, "url %q %q\n", name, withoutUser(c.url))
		}
	}
	return hexSum(sum)
}

// withoutUser removes the user and password from a URL: how a place is reached is no part of what is
// there.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil || u.Scheme == "ssh" {
		return text
	}
	u.User = nil
	return u.String()
}
