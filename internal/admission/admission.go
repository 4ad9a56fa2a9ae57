// Package admission keeps a cache from giving anything to those who couldn't have fetched it: credentials that
// are new to a folder of the cache are shown to the remote first. That they were let in is noted in the
// folder, under a keyed hash, which tells nothing about them.
package admission

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Credentials are what a remote is shown, in a fixed order; parts may be empty.
type Credentials [][]byte

// Check returns nil if the credentials are known in a folder, or else what ask returns, which is to ask the
// remote. If that is nil, they are known from then on.
func Check(folder string, c Credentials, ask func() error) error {
	dir := filepath.Join(folder, "admitted")
	salt, err := secret(dir)
	if err != nil {
		return err
	}
	note := filepath.Join(dir, c.fingerprint(salt))
	if _, err := os.Stat(note); err == nil {
		return nil
	}
	if err := ask(); err != nil {
		return err
	}
	return os.WriteFile(note, nil, 0o600)
}

// secret reads the random bytes of a folder, and makes them if need be.
func secret(dir string) ([]byte, error) {
	file := filepath.Join(dir, "salt")
	if salt, err := os.ReadFile(file); err == nil {
		return salt, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	salt := make([]byte, sha256.Size)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	own := file + "-" + rand.Text()
	if err := os.WriteFile(own, salt, 0o600); err != nil {
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

func (c Credentials) fingerprint(salt []byte) string {
	sum := hmac.New(sha256.New, salt)
	for _, part := range c {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
