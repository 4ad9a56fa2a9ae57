package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The kinds of artifacts that can be read.
const (
	KindStrake     = "strake"
	KindKustomizer = "kustomizer"
	KindFlux       = "flux"
	KindBundle     = "imgpkg bundle"
	KindImage      = "imgpkg image"
)

// An Artifact is what was pulled.
type Artifact struct {
	// URL is what was asked for.
	URL string
	// Ref is the artifact itself, by its digest.
	Ref  name.Digest
	Kind string
	// Files are those of the artifact, with slashed paths; all.yaml is decrypted.
	Files map[string][]byte
	// Images are those of its images lock.
	Images []schema.LockedImage
	// BuiltBy is the tool that made it, Created when, both as far as the artifact says.
	BuiltBy string
	Created string
	// Checksum is the SHA-256 of what it holds, in hex; empty if the artifact has none.
	Checksum         string
	Encrypted        bool
	Source, Revision string
}

// Options say how an artifact is pulled.
type Options struct {
	// Verify, if not nil, is asked about the artifact's digest before anything but that is taken from it.
	Verify func(context.Context, name.Digest) error
	// Identities decrypt what is encrypted.
	Identities []Identity
}

// Pull reads an artifact. The tag is resolved once; what is verified and read is what it named then.
func Pull(ctx context.Context, client *registry.Client, ref name.Reference, opts Options) (*Artifact, error) {
	desc, err := client.Get(ctx, ref)
	if err != nil {
		return nil, explain(URL(ref), err)
	}
	a := &Artifact{URL: URL(ref), Ref: ref.Context().Digest(desc.Digest.String())}
	if opts.Verify != nil {
		if err := opts.Verify(ctx, a.Ref); err != nil {
			return nil, err
		}
	}
	if err := a.read(desc, opts); err != nil {
		return nil, fmt.Errorf("%s: %w", a.URL, err)
	}
	return a, nil
}

// Resolve returns what a reference names at the moment.
func Resolve(ctx context.Context, client *registry.Client, ref name.Reference) (name.Digest, error) {
	if digest, ok := ref.(name.Digest); ok {
		return digest, nil
	}
	desc, err := client.Head(ctx, ref)
	if err != nil {
		return name.Digest{}, explain(URL(ref), err)
	}
	return ref.Context().Digest(desc.Digest.String()), nil
}

// explain says what a registry's error means for an artifact.
func explain(url string, err error) error {
	switch {
	case registry.NotFound(err):
		return stages.WithHint(&missingError{url, err}, "strake artifact list shows the tags of a repository")
	case registry.Denied(err):
		return stages.WithHint(fmt.Errorf("%s: %w", url, err), "log in with docker login: credentials are taken from DOCKER_CONFIG")
	}
	return fmt.Errorf("%s: %w", url, err)
}

// A missingError says that a registry doesn't have something.
type missingError struct {
	what  string
	cause error
}

func (e *missingError) Error() string { return e.what + ": there is no such artifact" }
func (e *missingError) Unwrap() error { return e.cause }

func (a *Artifact) read(desc *remote.Descriptor, opts Options) error {
	switch {
	case desc.MediaType != types.OCIManifestSchema1 && desc.MediaType != types.DockerManifestSchema2:
		return fmt.Errorf("expected an artifact with configuration, found %s", desc.MediaType)
	case len(desc.Manifest) > maxManifest:
		return fmt.Errorf("the manifest has %d bytes, expected %d at most", len(desc.Manifest), maxManifest)
	}
	image, err := desc.Image()
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if err := plausible(manifest); err != nil {
		return err
	}
	a.describe(manifest.Annotations)
	config := manifest.Config
	switch {
	case manifest.Annotations[annotationChecksum] != "":
		return a.readKustomizer(image, manifest, opts)
	case config.MediaType == configType || manifest.Layers[0].MediaType == contentType:
		a.Kind = KindFlux
		a.Files, err = layerFiles(image, manifest.Layers[0])
		return err
	case config.MediaType == types.DockerConfigJSON || config.MediaType == types.OCIConfigJSON:
		return a.readImage(image, manifest)
	}
	return fmt.Errorf("expected an artifact of strake, Kustomizer, Flux or imgpkg, found one with the configuration %s", config.MediaType)
}

// plausible returns an error for a manifest that can't be one of an artifact.
func plausible(m *v1.Manifest) error {
	if len(m.Layers) == 0 {
		return errors.New("the manifest has no layers")
	}
	for _, d := range append(slices.Clone(m.Layers), m.Config) {
		if d.Size < 0 || d.Size > maxLayer {
			return fmt.Errorf("%s has %d bytes, expected %d at most", d.Digest, d.Size, maxLayer)
		}
	}
	return nil
}

func (a *Artifact) describe(annotations map[string]string) {
	a.BuiltBy = annotations[annotationVersion]
	a.Created = annotations[annotationCreated]
	if a.Created == "" {
		a.Created = annotations[annotationDate]
	}
	a.Checksum, a.Encrypted = annotations[annotationChecksum], annotations[annotationEncrypted] != ""
	a.Source, a.Revision = annotations[annotationSource], annotations[annotationRevision]
}

// readKustomizer reads an artifact in the form of Kustomizer, which strake's own have too.
func (a *Artifact) readKustomizer(image v1.Image, manifest *v1.Manifest, opts Options) error {
	a.Kind = KindKustomizer
	if strings.HasPrefix(a.BuiltBy, "strake/") {
		a.Kind = KindStrake
	}
	for _, key := range []string{annotationVersion, annotationCreated} {
		if manifest.Annotations[key] == "" {
			return fmt.Errorf("annotation %s is missing", key)
		}
	}
	if encryption := manifest.Annotations[annotationEncrypted]; encryption != "" && encryption != ageEncryption {
		return fmt.Errorf("annotation %s: expected %s, found %q", annotationEncrypted, ageEncryption, encryption)
	}
	files, err := layerFiles(image, manifest.Layers[0])
	if err != nil {
		return err
	}
	var text []byte
	if len(files) == 1 {
		for _, only := range files {
			text = only
		}
	} else {
		return fmt.Errorf("layer %s: expected one file, found %d", manifest.Layers[0].Digest, len(files))
	}
	matches := content.Checksum(text) == a.Checksum
	if a.Encrypted {
		if text, err = decrypt(text, opts.Identities); err != nil {
			return err
		}
		// Kustomizer's is that of the plain text.
		matches = matches || content.Checksum(text) == a.Checksum
	}
	if !matches {
		return fmt.Errorf("the content doesn't have the checksum %s that the artifact says", a.Checksum)
	}
	if text, err = decryptSecrets(text, opts.Identities); err != nil {
		return err
	}
	a.Files = map[string][]byte{contentFile: text}
	for _, l := range manifest.Layers[1:] {
		if l.MediaType != lockType {
			continue
		}
		lock, err := layerBytes(image, l)
		if err != nil {
			return err
		}
		if a.Images, err = readLock(lock); err != nil {
			return err
		}
	}
	return nil
}

// readImage reads a bundle of imgpkg, or an image with files.
func (a *Artifact) readImage(image v1.Image, manifest *v1.Manifest) error {
	raw, err := image.RawConfigFile()
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var config v1.ConfigFile
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	a.Kind = KindImage
	if _, ok := config.Config.Labels[bundleLabel]; ok {
		a.Kind = KindBundle
		a.describe(config.Config.Labels)
	}
	a.Files = map[string][]byte{}
	for _, l := range manifest.Layers {
		files, err := layerFiles(image, l)
		if err != nil {
			return err
		}
		maps.Copy(a.Files, files)
	}
	if lock, ok := a.Files[bundleLock]; ok {
		if a.Images, err = readLock(lock); err != nil {
			return err
		}
	}
	if a.Created == "" && !config.Created.IsZero() {
		a.Created = config.Created.UTC().Format(time.RFC3339)
	}
	return nil
}

// layerBytes reads a layer as it is stored. What the registry sends has to have the digest.
func layerBytes(image v1.Image, d v1.Descriptor) ([]byte, error) {
	layer, err := image.LayerByDigest(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	blob, err := layer.Compressed()
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	defer blob.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(blob, maxLayer+1)); err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	got, _, err := v1.SHA256(bytes.NewReader(b.Bytes()))
	if err != nil || got != d.Digest {
		return nil, fmt.Errorf("layer %s: what the registry sent is %s", d.Digest, got)
	}
	return b.Bytes(), nil
}

func layerFiles(image v1.Image, d v1.Descriptor) (map[string][]byte, error) {
	blob, err := layerBytes(image, d)
	if err != nil {
		return nil, err
	}
	files, err := unpack(blob)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	return files, nil
}
