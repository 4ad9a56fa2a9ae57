package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/schema"
)

// The forms of an artifact.
const (
	// FormatArtifact is what Kustomizer, Flux and strake read.
	FormatArtifact = "artifact"
	// FormatBundle is a bundle of imgpkg.
	FormatBundle = "bundle"
)

// A Package is what becomes an artifact.
type Package struct {
	// Format is one of FormatArtifact, FormatBundle.
	Format string
	// Manifests are the objects as YAML, or what Recipients can decrypt to that.
	Manifests []byte
	// Encrypted tells that Manifests are encrypted as a whole.
	Encrypted bool
	// Images are those that the manifests name, with their digests.
	Images []schema.LockedImage
	// Date is when the content was last changed; zero is 1970.
	Date time.Time
	// Source and Revision tell where the content is from.
	Source, Revision string
}

// Pack makes the artifact of a package.
func Pack(p Package) (v1.Image, error) {
	lock, err := lockOf(p.Images)
	if err != nil {
		return nil, err
	}
	if p.Format == FormatBundle {
		return bundle(p, lock)
	}
	layer, err := archive(file{p.file(), p.Manifests})
	if err != nil {
		return nil, err
	}
	files, err := compressed(layer, contentType)
	if err != nil {
		return nil, err
	}
	layers := []mutate.Addendum{files}
	if len(p.Images) > 0 {
		layers = append(layers, mutate.Addendum{Layer: static.NewLayer(lock, lockType), MediaType: lockType})
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), configType)
	for _, l := range layers {
		if image, err = mutate.Append(image, l); err != nil {
			return nil, err
		}
	}
	if image, err = mutate.CreatedAt(image, v1.Time{Time: p.date()}); err != nil {
		return nil, err
	}
	annotations := p.annotations()
	annotations[annotationVersion] = builtBy
	annotations[annotationChecksum] = content.Checksum(p.Manifests)
	annotations[annotationCreated] = p.date().Format(time.RFC3339)
	if p.Encrypted {
		annotations[annotationEncrypted] = ageEncryption
	}
	return annotated(image, annotations)
}

// annotations are those of OCI.
func (p Package) annotations() map[string]string {
	annotations := map[string]string{annotationDate: p.date().Format(time.RFC3339)}
	for key, value := range map[string]string{annotationSource: p.Source, annotationRevision: p.Revision} {
		if value != "" {
			annotations[key] = value
		}
	}
	return annotations
}

func (p Package) file() string {
	if p.Encrypted {
		return encryptedFile
	}
	return contentFile
}

func (p Package) date() time.Time {
	if p.Date.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return p.Date.UTC().Truncate(time.Second)
}

// bundle makes an image in Docker's form, which is what imgpkg pushes and takes.
func bundle(p Package, lock []byte) (v1.Image, error) {
	if p.Encrypted {
		return nil, errors.New("a bundle can't be encrypted: imgpkg and kapp-controller couldn't read it")
	}
	layer, err := archive(file{bundleLock, lock}, file{"config/" + contentFile, p.Manifests})
	if err != nil {
		return nil, err
	}
	files, err := compressed(layer, types.DockerLayer)
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(empty.Image, files)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: p.date()}
	config.Config.Labels = map[string]string{bundleLabel: "true"}
	maps.Copy(config.Config.Labels, p.annotations())
	return mutate.ConfigFile(image, config)
}

// compressed is a layer of a compressed archive.
func compressed(archive []byte, media types.MediaType) (mutate.Addendum, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, tarball.WithMediaType(media))
	return mutate.Addendum{Layer: layer, MediaType: media}, err
}

func annotated(image v1.Image, annotations map[string]string) (v1.Image, error) {
	with, ok := mutate.Annotations(image, annotations).(v1.Image)
	if !ok {
		return nil, errors.New("expected an image")
	}
	return with, nil
}

// A file is one of an archive.
type file struct {
	name string
	text []byte
}

// archive makes a compressed tar archive that says nothing of when, where and by whom it was made. Folders
// have entries before their files.
func archive(files ...file) ([]byte, error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := tar.NewWriter(zip)
	const fileMode, dirMode = 0o600, 0o700
	seen := map[string]bool{".": true}
	for _, f := range files {
		if dir := path.Dir(f.name); !seen[dir] && !strings.Contains(dir, "/") {
			seen[dir] = true
			if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: dirMode, Format: tar.FormatUSTAR}); err != nil {
				return nil, err
			}
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: fileMode, Size: int64(len(f.text)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := out.Write(f.text); err != nil {
			return nil, err
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
