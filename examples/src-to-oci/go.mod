// Nothing here is built by Go: build/Dockerfile.go is a Dockerfile, which the go command's ./... would
// otherwise take for a source. source-go is a module of its own.
module strake.dev/strake/examples/src-to-oci

go 1.26
