package git

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshBegin = "-----BEGIN SSH SIGNATURE-----"
	// sshNamespace keeps signatures of other things from being taken for those of commits and tags.
	sshNamespace = "git"
)

// An sshKey is one of an authorized_keys or an allowed_signers file.
type sshKey struct {
	ssh.PublicKey
	// namespaces are patterns of what the key may sign; none means anything.
	namespaces    []string
	after, before time.Time
}

func (s sshKey) name() string { return ssh.FingerprintSHA256(s.PublicKey) }

// parseSSHKey reads a line “[OPTIONS] TYPE KEY [COMMENT]” of authorized_keys, or “PRINCIPALS [OPTIONS] TYPE KEY
// [COMMENT]” of allowed_signers. Who a principal is doesn't matter: all keys are trusted alike.
func parseSSHKey(line string) (sshKey, error) {
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		_, rest, ok := strings.Cut(line, " ")
		if !ok {
			return sshKey{}, errors.New("a line is not an ssh public key")
		}
		if key, _, options, _, err = ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest))); err != nil {
			return sshKey{}, errors.New("a line is not an ssh public key")
		}
	}
	s := sshKey{PublicKey: key}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "cert-authority":
			return s, fmt.Errorf("ssh key %s is an authority for certificates, which are not supported", s.name())
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = signerTime(value)
		case "valid-before":
			s.before, err = signerTime(value)
		}
		if err != nil {
			return s, fmt.Errorf("ssh key %s: %s: %w", s.name(), name, err)
		}
	}
	return s, nil
}

// signerTime reads a time of an allowed_signers file: YYYYMMDD[HHMM[SS]][Z], local without Z.
func signerTime(text string) (time.Time, error) {
	zone := time.Local
	if t, ok := strings.CutSuffix(text, "Z"); ok {
		text, zone = t, time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil && len(text) == len(layout) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time of the form YYYYMMDD[HHMM[SS]][Z]", text)
}

// may tells what keeps a key from signing at a time, if anything does.
func (s sshKey) may(at time.Time) error {
	switch {
	case len(s.namespaces) > 0 && !slices.ContainsFunc(s.namespaces, func(p string) bool { ok, _ := path.Match(p, sshNamespace); return ok }):
		return fmt.Errorf("the key is not for commits and tags, but for %s", strings.Join(s.namespaces, ","))
	case !s.after.IsZero() && at.Before(s.after):
		return fmt.Errorf("the key is valid after %s only", s.after.UTC().Format(time.RFC3339))
	case !s.before.IsZero() && !at.Before(s.before):
		return fmt.Errorf("the key was valid before %s only", s.before.UTC().Format(time.RFC3339))
	}
	return nil
}

// sshSignature is what is in the armor of a signature after the magic (OpenSSH, PROTOCOL.sshsig).
type sshSignature struct {
	Version       uint32
	PublicKey     []byte
	Namespace     string
	Reserved      []byte
	HashAlgorithm string
	Signature     []byte
}

const sshMagic = "SSHSIG"

// verifySSH names the signer, and returns errStranger if that is nobody whose key is known. at is when it was signed.
func (k *keyring) verifySSH(payload []byte, armored string, at time.Time) (signer string, err error) {
	sig, key, err := parseSSHSignature(armored)
	if err != nil {
		return "", fmt.Errorf("its ssh signature can't be read: %w", err)
	}
	signer = "ssh key " + ssh.FingerprintSHA256(key)
	i := slices.IndexFunc(k.ssh, func(s sshKey) bool { return slices.Equal(s.Marshal(), key.Marshal()) })
	if i < 0 {
		return signer, errStranger
	}
	if sig.Namespace != sshNamespace {
		return signer, fmt.Errorf("it has the namespace %q, expected %q", sig.Namespace, sshNamespace)
	}
	if err := k.ssh[i].may(at); err != nil {
		return signer, err
	}
	var hash []byte
	switch sig.HashAlgorithm {
	case "sha256":
		sum := sha256.Sum256(payload)
		hash = sum[:]
	case "sha512":
		sum := sha512.Sum512(payload)
		hash = sum[:]
	default:
		return signer, fmt.Errorf("it has the hash algorithm %q, expected sha256 or sha512", sig.HashAlgorithm)
	}
	var inner ssh.Signature
	if err := ssh.Unmarshal(sig.Signature, &inner); err != nil {
		return signer, err
	}
	if inner.Format == ssh.KeyAlgoRSA {
		return signer, errors.New("it is an RSA signature with SHA-1")
	}
	return signer, key.Verify(ssh.Marshal(struct {
		Magic         [6]byte
		Namespace     string
		Reserved      []byte
		HashAlgorithm string
		Hash          []byte
	}{[6]byte([]byte(sshMagic)), sig.Namespace, sig.Reserved, sig.HashAlgorithm, hash}), &inner)
}

func parseSSHSignature(armored string) (sig sshSignature, key ssh.PublicKey, err error) {
	block, rest := pem.Decode([]byte(armored))
	if block == nil || block.Type != "SSH SIGNATURE" || strings.TrimSpace(string(rest)) != "" {
		return sig, nil, errors.New("its armor is wrong")
	}
	body, ok := strings.CutPrefix(string(block.Bytes), sshMagic)
	if !ok {
		return sig, nil, fmt.Errorf("it doesn't begin with %s", sshMagic)
	}
	if err := ssh.Unmarshal([]byte(body), &sig); err != nil {
		return sig, nil, err
	}
	if sig.Version != 1 {
		return sig, nil, fmt.Errorf("it has the version %d, expected 1", sig.Version)
	}
	key, err = ssh.ParsePublicKey(sig.PublicKey)
	return sig, key, err
}
