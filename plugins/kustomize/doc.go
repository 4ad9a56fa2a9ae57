// Package kustomize renders manifests with kustomize, as the template step “kustomize: {path: …}” of an
// App says. It runs kustomize's own packages: equal input gives the bytes that “kustomize build” prints.
//
// After another template step, the manifests so far are the first resources of the kustomization.
// Those without a name, such as a Config of kbld, are no resources: they pass it unchanged.
//
// What differs from the command: files may lie anywhere in the App's folder, and nowhere else; nothing
// is read from the network; no plugin, function or chart is run.
package kustomize
