// Package sops decrypts files for later template steps, as the template step “sops: {…}” of an App says:
// those steps see X.yml in place of X.sops.yml. The plain files are in memory only, and end with the run.
//
// What differs from kapp-controller: no gpg is needed, all keys of the Secret are taken, and builds
// don't see the plain files.
package sops
