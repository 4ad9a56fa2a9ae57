// Package buildkit builds images from source with a BuildKit daemon, and tells beforehand whether
// there is anything to build.
//
// [Load] reads a [Source] and digests everything that its image depends on: the context under the
// rules of .dockerignore, the Dockerfile, arguments, target, platforms and base images ([Parts]). An
// image that was pushed under [Parts.Tag] need not be built again while the parts are the same.
// [Client.Build] sends a loaded source to the daemon and pushes the image.
//
// Builds are reproducible as far as the Dockerfile's own commands are: times, owners and the umask of
// the files' owner don't reach the image, and the daemon is given SOURCE_DATE_EPOCH.
package buildkit
