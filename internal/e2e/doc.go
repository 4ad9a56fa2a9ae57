// Package e2e holds the end-to-end tests: the built binary, driven as a user drives it, against a
// real registry, BuildKit and Kubernetes. “make test” brings those up; the tests find them by the
// environment that “sandbox env” prints.
package e2e
