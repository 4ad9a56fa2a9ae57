package artifact

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"strake.dev/strake/stages"
)

// The annotations of an OCI layout's entries
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md#indexjson-file).
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationRole = "strake.dev/role"
	annotationName = "strake.dev/image"
)

// save writes pieces as an OCI layout or an archive of one: all of it or nothing.
func save(ctx context.Context, to Location, pieces []piece) (err error) {
	target := to.Layout + to.Archive
	if _, err := os.Lstat(target); err == nil {
		return stages.WithHint(fmt.Errorf("%s: exists already", target), "remove it, or name another place")
	}
	staging, err := os.MkdirTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	folder := filepath.Join(staging, "layout")
	if err := saveLayout(ctx, folder, pieces); err != nil {
		return err
	}
	if to.Layout != "" {
		return os.Rename(folder, target)
	}
	file := filepath.Join(staging, "archive")
	if err := saveArchive(ctx, folder, file); err != nil {
		return err
	}
	return os.Rename(file, target)
}

func saveLayout(ctx context.Context, folder string, pieces []piece) error {
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if err := ctx.Err(); err != nil {
			return err
		}
		annotations := map[string]string{annotationRole: p.role}
		for key, value := range map[string]string{annotationRef: p.tag, annotationName: p.name} {
			if value != "" {
				annotations[key] = value
			}
		}
		var err error
		switch content := p.content.(type) {
		case v1.Image:
			err = at.AppendImage(content, layout.WithAnnotations(annotations))
		case v1.ImageIndex:
			err = at.AppendIndex(content, layout.WithAnnotations(annotations))
		default:
			err = errors.New("expected an image or an index")
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.role, p.digest, err)
		}
	}
	return nil
}

// saveArchive makes a tar archive of a layout.
func saveArchive(ctx context.Context, folder, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	archive := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		const mode = 0o644
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(rel), Mode: mode, Size: info.Size()}); err != nil {
			return err
		}
		in, err := os.Open(name)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(archive, in)
		return err
	})
	return errors.Join(err, archive.Close())
}

// layoutFile are the names of a layout's files.
var layoutFile = regexp.MustCompile(`^(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})$`)

// load reads the pieces of a layout, or of an archive of one. The caller calls done when they aren't needed
// any more.
func load(ctx context.Context, from Location) (pieces []piece, done func() error, err error) {
	folder, done := from.Layout, func() error { return nil }
	if from.Archive != "" {
		if folder, err = os.MkdirTemp("", "strake-archive-*"); err != nil {
			return nil, nil, err
		}
		done = func() error { return os.RemoveAll(folder) }
		if err := extract(ctx, from.Archive, folder); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("%s: %w", from.Archive, err), done())
		}
	}
	if pieces, err = loadLayout(folder); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", from.Layout+from.Archive, err), done())
	}
	return pieces, done, nil
}

// extract unpacks an archive of a layout. What isn't part of a layout is an error.
func extract(ctx context.Context, file, folder string) error {
	in, err := os.Open(file)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer in.Close()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	const mode = 0o755
	if err := root.MkdirAll("blobs/sha256", mode); err != nil {
		return err
	}
	archive := tar.NewReader(in)
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case h.Typeflag == tar.TypeDir:
			continue
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !layoutFile.MatchString(name) {
			return fmt.Errorf("entry %q is no part of an OCI layout", h.Name)
		}
		out, err := root.Create(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, archive)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}

func loadLayout(folder string) ([]piece, error) {
	at, err := layout.FromPath(folder)
	if err != nil {
		return nil, stages.WithHint(fmt.Errorf("expected an OCI layout: %w", err), "strake artifact copy URL layout:FOLDER makes one")
	}
	index, err := at.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	var pieces []piece
	for _, d := range manifest.Manifests {
		if err := intact(at, d); err != nil {
			return nil, err
		}
		p := piece{role: d.Annotations[annotationRole], name: d.Annotations[annotationName], tag: d.Annotations[annotationRef], digest: d.Digest}
		if p.role == "" && len(manifest.Manifests) == 1 {
			p.role = roleArtifact
		}
		if d.MediaType.IsIndex() {
			p.content, err = index.ImageIndex(d.Digest)
		} else {
			p.content, err = index.Image(d.Digest)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
		pieces = append(pieces, p)
	}
	if _, err := rootOf(pieces); err != nil {
		return nil, err
	}
	return pieces, nil
}

// intact returns an error unless a manifest is the one that the index says. Layers are checked by the
// registry that they are uploaded to.
func intact(at layout.Path, d v1.Descriptor) error {
	blob, err := at.Blob(d.Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	got, size, err := v1.SHA256(io.LimitReader(blob, maxManifest+1))
	if err != nil {
		return err
	}
	if got != d.Digest || size > maxManifest {
		return fmt.Errorf("manifest %s: the file is %s", d.Digest, got)
	}
	return nil
}
