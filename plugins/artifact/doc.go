// Package artifact is the publish plugin that keeps the manifests in a container registry, as the step
// “artifact: {url: oci://…}” of an App says: with the digests of their images, signed, and with a
// statement of where all of it comes from. What is deployed after it is recorded as that artifact.
package artifact
