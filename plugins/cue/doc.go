// Package cue renders manifests with CUE, as the template step “cue: {…}” of an App says. It runs CUE's
// own packages: equal input gives the bytes that “cue export --out yaml” prints in the App's folder, with
// the arguments that kapp-controller gives it.
//
// [Render] is the library: packages and values in, manifests out. [Plugin] is the step on top of it.
//
// What differs from the command: nothing outside of the App's folder is read, so modules have to lie in
// cue.mod and no registry is asked, and @embed has no effect. Values are YAML, JSON or CUE.
package cue
