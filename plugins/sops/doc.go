// Package sops decrypts files for later template steps, as the template step “sops: {…}” of an App says:
// those steps see X.yml in place of X.sops.yml. The plain files are in memory only, and end with the run.
//
// [Decrypt] is the library: an encrypted YAML file and keys in, the plain file out. It reads the format
// of SOPS (https://github.com/getsops/sops) itself, with age and OpenPGP in pure Go, because SOPS' own
// packages bring the clients of five clouds with them. [Plugin] is the step on top of it.
//
// What differs from kapp-controller: no gpg is needed, all keys of the Secret are taken, and builds
// don't see the plain files.
package sops
