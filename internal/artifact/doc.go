// Package artifact keeps configuration in container registries: sets of Kubernetes objects as OCI
// artifacts that Kustomizer, Flux and strake read, or as bundles of imgpkg that kapp-controller takes.
//
// The artifact is an OCI manifest with the media types of Flux
// (https://fluxcd.io/flux/cheatsheets/oci-artifacts/). Its first layer is a tar archive with the one file
// all.yaml, which is what Kustomizer reads; its annotations are those of both tools. A second layer holds
// the digests of the images that the objects name, as an ImagesLock of imgpkg
// (https://carvel.dev/imgpkg/docs/latest/resources/#imageslock-configuration).
//
// Equal content with an equal date is an equal artifact, to the digest.
package artifact

import "github.com/google/go-containerregistry/pkg/v1/types"

// The media types of an artifact and of its layers.
const (
	configType  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	contentType types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
	lockType    types.MediaType = "application/vnd.strake.images-lock.v1+yaml"
)

// The annotations of Kustomizer and of OCI
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md).
const (
	annotationVersion   = "kustomizer.dev/version"
	annotationChecksum  = "kustomizer.dev/checksum"
	annotationCreated   = "kustomizer.dev/created"
	annotationEncrypted = "kustomizer.dev/encrypted"
	annotationSource    = "org.opencontainers.image.source"
	annotationRevision  = "org.opencontainers.image.revision"
	annotationDate      = "org.opencontainers.image.created"
)

// ageEncryption is how encrypted content is marked.
const ageEncryption = "age-encryption.org/v1"

// builtBy is the version that artifacts name. It changes with the form of artifacts and not with each
// version of strake, so that another strake finds them unchanged.
const builtBy = "strake/v1"

// The files of an artifact.
const (
	contentFile   = "all.yaml"
	encryptedFile = "all.yaml.age"
	// bundleLock is where a bundle has its ImagesLock.
	bundleLock = ".imgpkg/images.yml"
	// bundleLabel marks the image of a bundle.
	bundleLabel = "dev.carvel.imgpkg.bundle"
)

// The bounds of what is read from registries.
const (
	// maxManifest and maxConfig are in bytes.
	maxManifest = 4 << 20
	// maxLayer is how large a layer may be, compressed, and maxContent what it may hold, in bytes.
	maxLayer   = 64 << 20
	maxContent = 256 << 20
	// maxFiles is how many files a layer may hold.
	maxFiles = 20_000
)
