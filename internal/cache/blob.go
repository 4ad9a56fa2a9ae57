package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A MismatchError says that a download isn't what its digest says.
type MismatchError struct{ Want, Got string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("has the digest %s, expected %s", e.Got, e.Want)
}

// algorithm is the prefix of all digests.
const algorithm = "sha256:"

// Digest returns the digest of what a file holds, and goes back to its start.
func Digest(ctx context.Context, f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &reader{ctx: ctx, r: f}); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return algorithm + hex.EncodeToString(sum.Sum(nil)), err
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Fill returns the file that has a digest, such as sha256:9f86…, at its start. If the cache lacks it, download
// writes it, and whoever else wants it at that time waits; what has another digest is a [*MismatchError], and
// is not kept. The caller must close the file.
func (s *Store) Fill(ctx context.Context, digest string, download func(*os.File) error) (*os.File, error) {
	place, err := s.place(digest)
	if err != nil {
		return nil, err
	}
	if f := s.look(ctx, digest, place); f != nil {
		return f, nil
	}
	if s != nil {
		if _, err := s.make(blobsDir); err != nil {
			return nil, err
		}
		lock, err := acquire(ctx, place+".lock", Exclusive)
		if err != nil {
			return nil, err
		}
		defer lock.Close()
		// Whoever has it open still holds what was locked, and finds the file; a new one is only slower.
		defer os.Remove(lock.Path())
		if f := s.look(ctx, digest, place); f != nil {
			return f, nil
		}
	}
	f, got, err := s.receive(ctx, download)
	if err != nil {
		return nil, err
	}
	if got != digest {
		return nil, errors.Join(&MismatchError{Want: digest, Got: got}, discard(f))
	}
	return s.keep(f, place)
}

// Add keeps what download writes, and returns it and its digest. The caller must close the file.
func (s *Store) Add(ctx context.Context, download func(*os.File) error) (*os.File, string, error) {
	f, digest, err := s.receive(ctx, download)
	if err != nil {
		return nil, "", err
	}
	place, err := s.place(digest)
	if err != nil {
		return nil, "", errors.Join(err, discard(f))
	}
	f, err = s.keep(f, place)
	return f, digest, err
}

// Blob returns the file that has a digest at its start, or nil if the cache lacks it. The caller must close it.
func (s *Store) Blob(ctx context.Context, digest string) (*os.File, error) {
	place, err := s.place(digest)
	if err != nil {
		return nil, err
	}
	return s.look(ctx, digest, place), ctx.Err()
}

// place is where a file of a digest belongs.
func (s *Store) place(digest string) (string, error) {
	text, ok := strings.CutPrefix(digest, algorithm)
	if sum, err := hex.DecodeString(text); !ok || err != nil || len(sum) != sha256.Size || strings.ToLower(text) != text {
		return "", fmt.Errorf("%q is not a digest: expected sha256: and 64 hex digits", digest)
	}
	if s == nil {
		return "", nil
	}
	return filepath.Join(s.dir, blobsDir, text), nil
}

// look opens a file that is whole. One that isn't is removed.
func (s *Store) look(ctx context.Context, digest, place string) *os.File {
	if s == nil {
		return nil
	}
	f, err := os.Open(place)
	if err != nil {
		return nil
	}
	got, err := Digest(ctx, f)
	if err == nil && got == digest {
		if info, err := f.Stat(); err == nil {
			touch(place, info)
		}
		return f
	}
	f.Close()
	if err == nil {
		_ = os.Remove(place)
	}
	return nil
}

// receive lets download write a new file, and tells its digest.
func (s *Store) receive(ctx context.Context, download func(*os.File) error) (*os.File, string, error) {
	dir := ""
	if s != nil {
		var err error
		if dir, err = s.make(tempDir); err != nil {
			return nil, "", err
		}
	}
	f, err := os.CreateTemp(dir, "strake-download-")
	if err != nil {
		return nil, "", err
	}
	if s == nil {
		// Nobody else needs its name.
		if err := os.Remove(f.Name()); err != nil {
			return nil, "", errors.Join(err, f.Close())
		}
	}
	err = download(f)
	digest := ""
	if err == nil {
		digest, err = Digest(ctx, f)
	}
	if err != nil {
		return nil, "", errors.Join(err, discard(f))
	}
	return f, digest, nil
}

// keep moves a received file to its place. Without a cache it stays nameless.
func (s *Store) keep(f *os.File, place string) (*os.File, error) {
	if s == nil {
		return f, nil
	}
	if _, err := s.make(blobsDir); err != nil {
		return nil, errors.Join(err, discard(f))
	}
	if err := os.Rename(f.Name(), place); err != nil {
		return nil, errors.Join(fmt.Errorf("cache: %w", err), discard(f))
	}
	s.grown.Store(true)
	return f, nil
}

// discard closes a received file and removes it.
func discard(f *os.File) error {
	err := os.Remove(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
