package git

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"strake.dev/strake/internal/signing"
	"strake.dev/strake/stages"
)

// A keyring holds the keys of which one must have signed.
type keyring struct {
	pgp openpgp.EntityList
	ssh []sshKey
}

// parseKeys reads public keys; see [Options]. Without any it returns nil.
func parseKeys(entries [][]byte) (*keyring, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	keys := &keyring{}
	for i, entry := range entries {
		if err := keys.add(string(entry)); err != nil {
			return nil, stages.WithHint(fmt.Errorf("public key %d: %w", i+1, err),
				"expected “-----BEGIN PGP PUBLIC KEY BLOCK-----” (gpg --armor --export), or lines of an authorized_keys or allowed_signers file")
		}
	}
	if len(keys.pgp)+len(keys.ssh) == 0 {
		return nil, errors.New("a signature is required, but there is no public key")
	}
	return keys, nil
}

const (
	pgpBegin = "-----BEGIN PGP "
	pgpEnd   = "-----END PGP "
)

// add reads what is between lines of armor as OpenPGP keys, and other lines as ssh keys.
func (k *keyring) add(text string) error {
	var block strings.Builder
	inside := false
	// Blocks may follow one another without a line end.
	text = strings.NewReplacer("\r\n", "\n", pgpBegin, "\n"+pgpBegin).Replace(text)
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, pgpBegin):
			inside = true
			block.Reset()
			fallthrough
		case inside:
			block.WriteString(trimmed + "\n")
			if strings.HasPrefix(trimmed, pgpEnd) {
				inside = false
				if err := k.addPGP(block.String()); err != nil {
					return err
				}
			}
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		default:
			key, err := parseSSHKey(trimmed)
			if err != nil {
				return err
			}
			k.ssh = append(k.ssh, key)
		}
	}
	if inside {
		return errors.New("an OpenPGP block has no end")
	}
	return nil
}

// names lists the keys, for errors.
func (k *keyring) names() string {
	var names []string
	for _, e := range k.pgp {
		names = append(names, "OpenPGP "+e.PrimaryKey.KeyIdString())
	}
	for _, s := range k.ssh {
		names = append(names, "ssh "+s.name())
	}
	return strings.Join(names, ", ")
}

// verify checks that one of the keys has signed what was asked for: a tag if that is an annotated one, and
// else the commit. A commit that was asked for by its name, as from a lock, may as well be vouched for by
// one of the tags that are known for it.
func (k *keyring) verify(want Commit, commit object, tags map[string]tag) error {
	if t, ok := tags[want.Ref]; ok && t.annotated {
		return k.verifyTag(want.Ref, t)
	}
	err := k.verifyObject("commit "+commit.name, commit)
	if err == nil || want.Ref != "" {
		return err
	}
	for name, t := range tags {
		if t.annotated && k.verifyTag(name, t) == nil {
			return nil
		}
	}
	return err
}

// verifyTag also checks that the tag is the one that was asked for, and not another one under its name.
func (k *keyring) verifyTag(ref string, t tag) error {
	name := strings.TrimPrefix(ref, tagPrefix)
	if own := t.header("tag"); own != name {
		return &signing.VerifyError{What: "tag " + name, Reason: fmt.Sprintf("it is the tag %q under another name", own)}
	}
	if t.header("type") != kindCommit {
		return &signing.VerifyError{What: "tag " + name, Reason: "it is not the tag of a commit"}
	}
	return k.verifyObject("tag "+name, t.object)
}

func (k *keyring) verifyObject(what string, o object) error {
	payload, signature, err := o.signed()
	if err != nil {
		return &signing.VerifyError{What: what, Reason: err.Error()}
	}
	if signature == "" {
		return stages.WithHint(&signing.VerifyError{What: what, Unsigned: true, Reason: "it isn't signed, and a signature by one of these keys is required: " + k.names()},
			"sign it (git commit -S, git tag -s), or give a reference that is signed")
	}
	var signer string
	switch {
	case strings.HasPrefix(signature, pgpBegin+"SIGNATURE"):
		signer, err = k.verifyPGP(payload, signature)
	case strings.HasPrefix(signature, sshBegin):
		signer, err = k.verifySSH(payload, signature, o.signedAt())
	default:
		first, _, _ := strings.Cut(signature, "\n")
		err = fmt.Errorf("its signature begins with %q, expected one of OpenPGP or ssh", first)
	}
	if errors.Is(err, errStranger) {
		err = fmt.Errorf("it is signed by %s, expected one of %s", signer, k.names())
	} else if err != nil && signer != "" {
		err = fmt.Errorf("its signature by %s is not good: %w", signer, err)
	}
	if err != nil {
		return stages.WithHint(&signing.VerifyError{What: what, Reason: err.Error()}, "if the signer is to be trusted, add the public key to the secret")
	}
	return nil
}

// errStranger says that a signature is by a key that isn't in the keyring.
var errStranger = errors.New("unknown key")

// signedAt is when an object was made, by its own account.
func (o object) signedAt() time.Time {
	made, _ := madeAt(cmp.Or(o.header("committer"), o.header("tagger")))
	return made
}

// signed splits an object into what is signed and its signature, which is empty if there is none. It is in
// a header of a commit, and at the end of a tag (gitformat-signature(5)).
func (o object) signed() (payload []byte, signature string, err error) {
	if o.kind == kindCommit {
		return o.signedCommit()
	}
	begins := -1
	for _, begin := range []string{pgpBegin + "SIGNATURE-----", sshBegin, "-----BEGIN PGP MESSAGE-----", "-----BEGIN SIGNED MESSAGE-----"} {
		if at := bytes.LastIndex(o.data, []byte("\n"+begin)); at >= 0 {
			begins = max(begins, at+1)
		}
	}
	if begins < 0 {
		return o.data, "", nil
	}
	signature = string(o.data[begins:])
	lines := strings.Split(strings.TrimRight(signature, "\n"), "\n")
	if !strings.HasPrefix(lines[len(lines)-1], "-----END ") || slices.ContainsFunc(lines[:len(lines)-1], func(l string) bool { return strings.HasPrefix(l, "-----END ") }) {
		return nil, "", errors.New("something follows its signature")
	}
	return o.data[:begins], signature, nil
}

func (o object) signedCommit() (payload []byte, signature string, err error) {
	name := "gpgsig"
	if len(o.name) == 64 {
		name = "gpgsig-sha256"
	}
	headers, _ := o.headers()
	for _, h := range headers {
		if h[0] == name {
			if signature != "" {
				return nil, "", errors.New("it has more than one signature")
			}
			signature = h[1]
		}
	}
	// The payload is all lines but those of signatures, for either hash function.
	var b bytes.Buffer
	skipping := false
	rest := o.data
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		if line[0] == '\n' { // the message begins
			break
		}
		skipping = skipping && line[0] == ' ' || bytes.HasPrefix(line, []byte("gpgsig ")) || bytes.HasPrefix(line, []byte("gpgsig-sha256 "))
		if !skipping {
			b.Write(line)
		}
		rest = rest[end:]
	}
	b.Write(rest)
	return b.Bytes(), signature, nil
}
