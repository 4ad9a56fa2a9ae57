// Package sopsfile decrypts YAML files of SOPS (https://github.com/getsops/sops), and encrypts Kubernetes
// objects in its form. It reads the format itself, with age and OpenPGP in pure Go, because SOPS' own
// packages bring the clients of five clouds with them.
package sopsfile
