package signing

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"strake.dev/strake/stages"
)

// Generate makes a pair of keys as cosign does, for ECDSA on P-256: the private one encrypted with the password
// in prefix.key, which only its user can read, and the public one in prefix.pub. Neither file may be there yet.
func Generate(prefix string, password []byte) (private, public string, err error) {
	key, pub, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc(password))
	if err != nil {
		return "", "", err
	}
	private, public = prefix+".key", prefix+".pub"
	if err := create(private, key, 0o600); err != nil {
		return "", "", err
	}
	if err := create(public, pub, 0o644); err != nil {
		return "", "", errors.Join(err, os.Remove(private))
	}
	return private, public, nil
}

func create(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return stages.WithHint(fmt.Errorf("key %s: is there already", path), "keys are never overwritten: move it away, or choose another name with --output-prefix")
	case err != nil:
		return fmt.Errorf("key %s: %w", path, reason(err))
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("key %s: %w", path, reason(err)), os.Remove(path))
	}
	return nil
}
