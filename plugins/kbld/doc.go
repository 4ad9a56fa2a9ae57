// Package kbld is the build stage on top of carvel.dev/kbld: it finds the images that manifests name,
// builds those that have sources, resolves the others to digests, and rewrites the manifests.
//
// Configuration, search for references, the rules of overrides, sources and destinations, origins,
// annotations and the format of the results are kbld's own code. Two things are ours: sources are
// built with BuildKit, under tags that are derived from what goes into the image, so that nothing is
// built twice; and each reference costs one request to its registry, through the client that all of
// strake uses, where kbld needs four.
package kbld
