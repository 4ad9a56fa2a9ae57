// Package ytt renders manifests with ytt, as the template step “ytt: {…}” of an App says. It runs
// ytt's own packages, in the way in which kapp-controller runs the ytt command: equal input gives
// equal bytes.
//
// [Render] is the library: files in, manifests out. [Plugin] is the step on top of it.
//
// What differs from kapp-controller: “strict” is honoured, files are read only from the App's folder,
// and messages name files as the App does and hold no values of Secrets.
package ytt
