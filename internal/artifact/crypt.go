package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"filippo.io/age/armor"

	"strake.dev/strake/stages"
)

type (
	// A Recipient is whom is encrypted for: a public key of age.
	Recipient = age.Recipient
	// An Identity decrypts: a private key of age.
	Identity = age.Identity
)

// Recipients reads a file with public keys of age, one a line.
func Recipients(path string) ([]Recipient, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseRecipients(path, f)
}

// ParseRecipients reads public keys of age, one a line. The name is for errors.
func ParseRecipients(name string, r io.Reader) ([]Recipient, error) {
	recipients, err := age.ParseRecipients(r)
	if err != nil {
		return nil, stages.WithHint(fmt.Errorf("%s: %w", name, err), "expected public keys as age-keygen -y prints them, one a line: age1…")
	}
	return recipients, nil
}

// Identities reads a file with private keys of age, as age-keygen writes it. Errors quote nothing of it.
func Identities(path string) ([]Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	identities, err := age.ParseIdentities(f)
	if err != nil {
		return nil, stages.WithHint(fmt.Errorf("%s: there is something in it that is no private key of age", path), "expected keys as age-keygen writes them, one a line: AGE-SECRET-KEY-1…")
	}
	return identities, nil
}

// Encrypt encrypts manifests as a whole, in age's form for texts.
func Encrypt(text []byte, recipients []Recipient) ([]byte, error) {
	var b bytes.Buffer
	armored := armor.NewWriter(&b)
	w, err := age.Encrypt(armored, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decrypt returns the plain text of what Encrypt made.
func decrypt(text []byte, identities []Identity) ([]byte, error) {
	if len(identities) == 0 {
		return nil, stages.WithHint(errors.New("the content is encrypted"), "give the file with a private key with --age-identities")
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(text)), identities...)
	if err != nil {
		if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
			return nil, errors.New("the content is encrypted for other keys than those given")
		}
		return nil, fmt.Errorf("the content can't be decrypted: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("the content can't be decrypted: %w", err)
	}
	if len(plain) > maxContent {
		return nil, fmt.Errorf("more than %d MiB decrypted", maxContent>>20)
	}
	return plain, nil
}
