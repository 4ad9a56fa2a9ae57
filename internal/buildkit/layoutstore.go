package buildkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layoutStore lets the daemon read the blobs of an OCI layout in a source's Root, and nothing else:
// containerd's own store would follow links out of it. What is read the daemon compares with its
// digest.
type layoutStore struct {
	root *os.Root
	dir  string
}

func (s layoutStore) open(d digest.Digest) (*os.File, fs.FileInfo, error) {
	h, err := v1.NewHash(d.String())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, err)
	}
	name := blobPath(s.dir, h)
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the OCI layout %s has no %s: %w", s.dir, d, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, nil, readError(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, readError(name, err)
	}
	return f, info, nil
}

// Info describes a blob.
func (s layoutStore) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	f, info, err := s.open(d)
	if err != nil {
		return content.Info{}, err
	}
	f.Close()
	return content.Info{Digest: d, Size: info.Size(), CreatedAt: info.ModTime(), UpdatedAt: info.ModTime()}, nil
}

// ReaderAt opens a blob; the caller closes it.
func (s layoutStore) ReaderAt(_ context.Context, desc ocispec.Descriptor) (content.ReaderAt, error) {
	f, info, err := s.open(desc.Digest)
	if err != nil {
		return nil, err
	}
	return sizedFile{f, info.Size()}, nil
}

type sizedFile struct {
	*os.File
	size int64
}

// Size is the size of the file.
func (f sizedFile) Size() int64 { return f.size }

// The rest of a store is for those who write.

var errReadOnly = fmt.Errorf("an OCI layout of a source is only read: %w", errdefs.ErrPermissionDenied)

// Update is refused.
func (layoutStore) Update(context.Context, content.Info, ...string) (content.Info, error) {
	return content.Info{}, errReadOnly
}

// Walk is refused.
func (layoutStore) Walk(context.Context, content.WalkFunc, ...string) error { return errReadOnly }

// Delete is refused.
func (layoutStore) Delete(context.Context, digest.Digest) error { return errReadOnly }

// ListStatuses is refused.
func (layoutStore) ListStatuses(context.Context, ...string) ([]content.Status, error) {
	return nil, errReadOnly
}

// Status is refused.
func (layoutStore) Status(context.Context, string) (content.Status, error) {
	return content.Status{}, errReadOnly
}

// Abort is refused.
func (layoutStore) Abort(context.Context, string) error { return errReadOnly }

// Writer is refused.
func (layoutStore) Writer(context.Context, ...content.WriterOpt) (content.Writer, error) {
	return nil, errReadOnly
}
