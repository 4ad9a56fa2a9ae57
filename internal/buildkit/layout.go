package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	indexFile  = "index.json"
	layoutFile = "oci-layout"
	// layoutVersion is the content of layoutFile.
	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
	// lockSuffix is what the lock beside a layout's index ends with, which BuildKit's own client takes
	// too.
	lockSuffix = ".lock"
	lockPoll   = 10 * time.Millisecond
)

// LayoutDigest returns the digest of the image that an OCI layout has under a tag, if everything that
// belongs to it is there. It is empty when there is no such image, or no layout.
func LayoutDigest(dir, tag string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return wholeIn(&store{dir: dir}, data, tag, filepath.Join(dir, indexFile))
}

// wholeIn returns the digest of a tag's image, if everything that belongs to it is there.
func wholeIn(in blobs, index []byte, tag, name string) (string, error) {
	desc, _, err := tagged(index, tag)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if desc == nil {
		return "", nil
	}
	if _, err := closure(in, *desc); err != nil {
		return "", nil //nolint:nilerr // an image with something missing has to be made again
	}
	return desc.Digest.String(), nil
}

// addTo writes the image into a layout: first what belongs to it, each file whole or not at all, then
// the index, so that the layout is at no time one that names what isn't there.
func (f *fetched) addTo(ctx context.Context, dir, tag string) error {
	for _, b := range f.blobs {
		to := filepath.Join(dir, filepath.FromSlash(blobPath("", b.Digest)))
		if same(ctx, to, b) {
			continue
		}
		r, err := f.open(b.Digest)
		if err != nil {
			return err
		}
		err = replaceFile(dir, to, func(w io.Writer) error {
			_, err := io.Copy(w, ctxReader{ctx, r})
			return err
		})
		r.Close()
		if err != nil {
			return err
		}
	}
	unlock, err := lockIndex(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	index, err := f.added(dir, tag)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{layoutFile, []byte(layoutVersion)}, {indexFile, index}} {
		if err := replaceFile(dir, filepath.Join(dir, file.name), func(w io.Writer) error {
			_, err := w.Write(file.data)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// same tells whether a file has the content of a blob.
func same(ctx context.Context, file string, b v1.Descriptor) bool {
	r, err := os.Open(file)
	if err != nil {
		return false
	}
	defer r.Close()
	h, size, err := v1.SHA256(ctxReader{ctx, r})
	return err == nil && h == b.Digest && size == b.Size
}

// added returns the index of a layout with the image in it, in the place of one with its tag.
func (f *fetched) added(dir, tag string) ([]byte, error) {
	name := filepath.Join(dir, indexFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f.index(tag)
	}
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: expected the index of an OCI layout: %w", name, err)
	}
	index.SchemaVersion, index.MediaType = 2, types.OCIImageIndex
	kept := index.Manifests[:0]
	for _, m := range index.Manifests {
		if m.Annotations[refName] != tag {
			kept = append(kept, m)
		}
	}
	desc := f.desc
	desc.Annotations = map[string]string{refName: tag}
	index.Manifests = append(kept, desc)
	return json.Marshal(index)
}

// lockIndex waits until nobody else changes the index of a layout.
func lockIndex(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, indexFile+lockSuffix)
	for {
		lock := flock.New(name)
		if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		// Who had the lock before has removed the file: then the lock is on one that nobody else finds.
		mine, err := lock.Stat()
		current, err2 := os.Stat(name)
		if err == nil && err2 == nil && os.SameFile(mine, current) {
			return func() {
				os.Remove(name)
				lock.Close()
			}, nil
		}
		lock.Close()
	}
}

// replaceFile writes a file whole or not at all. Until it is whole it lies in temp, a folder of the same
// file system.
func replaceFile(temp, name string, write func(io.Writer) error) (err error) {
	for _, dir := range []string{temp, filepath.Dir(name)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(temp, ".strake-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
