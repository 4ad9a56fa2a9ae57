package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

func (k *keyring) addPGP(block string) error {
	if !strings.HasPrefix(block, pgpBegin+"PUBLIC KEY BLOCK") {
		first, _, _ := strings.Cut(block, "\n")
		return fmt.Errorf("%q is not an OpenPGP public key", first)
	}
	entities, err := openpgp.ReadArmoredKeyRing(strings.NewReader(block))
	if err != nil {
		return fmt.Errorf("OpenPGP: %w", err)
	}
	k.pgp = append(k.pgp, entities...)
	return nil
}

// verifyPGP names the signer, and returns errStranger if that is nobody whose key is known.
func (k *keyring) verifyPGP(payload []byte, signature string) (signer string, err error) {
	id, err := pgpSigner(signature)
	if err != nil {
		return "", err
	}
	signer = fmt.Sprintf("OpenPGP key %016X", id)
	_, err = openpgp.CheckArmoredDetachedSignature(k.pgp, bytes.NewReader(payload), strings.NewReader(signature), nil)
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		err = errStranger
	}
	return signer, err
}

// pgpSigner gives the id of the key that a signature says it is by.
func pgpSigner(signature string) (uint64, error) {
	block, err := armor.Decode(strings.NewReader(signature))
	if err != nil {
		return 0, fmt.Errorf("its OpenPGP signature can't be read: %w", err)
	}
	packets := packet.NewReader(block.Body)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return 0, errors.New("its OpenPGP signature is empty")
		}
		if err != nil {
			return 0, fmt.Errorf("its OpenPGP signature can't be read: %w", err)
		}
		sig, ok := p.(*packet.Signature)
		if ok && sig.IssuerKeyId != nil {
			return *sig.IssuerKeyId, nil
		}
	}
}
