// Package krm runs KRM functions, which are executables that read a ResourceList and print one, as template steps
// “krm: {exec: PATH, config: {…}}”.
//
// The specification is
// https://github.com/kubernetes-sigs/kustomize/blob/master/cmd/config/docs/api-conventions/functions-spec.md.
// Functions are run as plugins that are executables: only if the user allows it, only as the ones that the lock
// pins, and confined. Those that come as container images aren't run.
package krm
