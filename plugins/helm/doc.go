// Package helm renders manifests from a Helm chart, as the template step “helmTemplate: {…}” of an App
// says. It runs Helm's own packages: equal input gives the bytes that “helm template NAME CHART
// --namespace NAMESPACE --include-crds” prints.
//
// [Render] is the library: files of a chart in, manifests out. [Plugin] is the step on top of it.
//
// What differs from the command: a chart is read only from the App's folder, and nothing else is asked:
// no cluster (lookup finds nothing), no repository for missing dependencies, no plugins.
package helm
