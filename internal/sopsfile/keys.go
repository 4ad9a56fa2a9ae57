package sopsfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"

	"strake.dev/strake/stages"
)

// Keys are private keys. Any one of them may be that of a file.
type Keys []Keyring

// A Keyring is one or several private keys. It opens what a file says of its data key.
type Keyring interface {
	// open returns the data key of a file, errNoKey if none of the keys is one of the file's.
	open(m *metadata) ([]byte, error)
}

var errNoKey = errors.New("no key fits")

// open returns the data key of a file.
func (k Keys) open(m *metadata) ([]byte, error) {
	for _, ring := range k {
		key, err := ring.open(m)
		if !errors.Is(err, errNoKey) {
			return key, err
		}
	}
	return nil, stages.WithHint(fmt.Errorf("none of the private keys is one that it was encrypted for: %s", m.recipients()),
		"give the key of one of these, or add yours with “sops updatekeys”")
}

type ageRing []age.Identity

// AgeIdentities are keys of age that were read already.
func AgeIdentities(identities []age.Identity) Keyring { return ageRing(identities) }

// AgeKeys reads a file of age keys.
func AgeKeys(data []byte) (Keyring, error) {
	found, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		// The library's error may quote the key.
		return nil, stages.WithHint(errors.New("is not a file of age keys"), "a key looks like AGE-SECRET-KEY-1…, and age-keygen makes one")
	}
	return ageRing(found), nil
}

func (r ageRing) open(m *metadata) ([]byte, error) {
	for _, k := range m.Age {
		in, err := age.Decrypt(armor.NewReader(strings.NewReader(k.Enc)), r...)
		if _, isOther := errors.AsType[*age.NoIdentityMatchError](err); isOther {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("data key for %s: %w", k.Recipient, err)
		}
		return io.ReadAll(in)
	}
	return nil, errNoKey
}

type pgpRing openpgp.EntityList

// PGPKeys reads armored private keys, one or several blocks.
func PGPKeys(data []byte) (Keyring, error) {
	var all openpgp.EntityList
	const begin = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
	for _, block := range strings.Split(string(data), begin)[1:] {
		found, err := openpgp.ReadArmoredKeyRing(strings.NewReader(begin + block))
		if err != nil {
			return nil, fmt.Errorf("private keys: %w", err)
		}
		all = append(all, found...)
	}
	for _, e := range all {
		if e.PrivateKey == nil {
			return nil, errors.New("is a public key, expected a private one")
		}
		if e.PrivateKey.Encrypted {
			return nil, stages.WithHint(errors.New("the private key is protected by a passphrase"),
				"export a key without one: nobody could type it")
		}
	}
	if len(all) == 0 {
		return nil, stages.WithHint(errors.New("holds no armored private key"), "“gpg --armor --export-secret-keys ID” gives one")
	}
	return pgpRing(all), nil
}

func (r pgpRing) open(m *metadata) ([]byte, error) {
	for _, k := range m.PGP {
		block, err := pgparmor.Decode(strings.NewReader(k.Enc))
		if err != nil {
			return nil, fmt.Errorf("data key for %s: %w", k.Fingerprint, err)
		}
		message, err := openpgp.ReadMessage(block.Body, openpgp.EntityList(r), nil, nil)
		if err != nil {
			continue // encrypted for another key
		}
		key, err := io.ReadAll(message.UnverifiedBody)
		if err != nil {
			return nil, fmt.Errorf("data key for %s: %w", k.Fingerprint, err)
		}
		return key, nil
	}
	return nil, errNoKey
}
