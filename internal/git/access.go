package git

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// admit makes sure that a mirror gives nothing to those whom the remote wouldn't let in: credentials that are
// new to the mirror are shown to the remote first. That they were let in is noted, under a keyed hash.
func (r *Repository) admit(ctx context.Context, folder *mirror) error {
	if r.Cache == nil {
		return nil
	}
	dir := filepath.Join(folder.path, "admitted")
	salt, err := secretOf(filepath.Join(dir, "salt"))
	if err != nil {
		return err
	}
	note := filepath.Join(dir, r.auth.fingerprint(salt))
	if _, err := os.Stat(note); err == nil {
		return nil
	}
	if !r.admitted {
		if _, err := r.Refs(ctx, "HEAD"); err != nil {
			return err
		}
	}
	return writeFile(note, nil)
}

// secretOf reads the random bytes in a file, which it makes if need be.
func secretOf(file string) ([]byte, error) {
	if salt, err := os.ReadFile(file); err == nil {
		return salt, nil
	}
	salt := make([]byte, sha256.Size)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	own := file + "-" + rand.Text()
	if err := writeFile(own, salt); err != nil {
		return nil, err
	}
	defer os.Remove(own)
	// If another one was first, its file counts.
	if err := os.Link(own, file); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(own, file); err != nil { // a file system without links
			return nil, err
		}
	}
	return os.ReadFile(file)
}

// fingerprint names credentials without telling anything about them to those who don't know the salt.
func (a Auth) fingerprint(salt []byte) string {
	sum := hmac.New(sha256.New, salt)
	for _, part := range [][]byte{[]byte(a.Username), []byte(a.Password), a.PrivateKey} {
		sum.Write([]byte(strconv.Itoa(len(part)) + ":"))
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
