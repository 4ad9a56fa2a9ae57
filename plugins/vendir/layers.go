package vendir

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir/download"
	"strake.dev/strake/plugins/vendir/unpack"
	"strake.dev/strake/stages"
)

// unpackImage writes the content of an image's layers, one on top of the other. Each layer is
// downloaded, and its digest verified, before anything of it is unpacked.
func unpackImage(ctx context.Context, job *stages.Job, shown string, img v1.Image, a *area) error {
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	limits := unpack.DefaultLimits()
	total := int64(0)
	for _, l := range layers {
		size, err := l.Size()
		if err != nil {
			return fmt.Errorf("%s: %w", shown, err)
		}
		if total += size; size < 0 || total > limits.Bytes {
			return fmt.Errorf("%s: its layers have more than %d bytes", shown, limits.Bytes)
		}
	}
	t := startTask(job.Events, "layers", shown)
	err = eachLayer(ctx, layers, total, t, a, unpack.New(a.tree, limits))
	t.end(err)
	if err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	return nil
}

func eachLayer(ctx context.Context, layers []v1.Layer, total int64, t *task, a *area, u *unpack.Unpacker) error {
	f, err := a.temp("layer")
	if err != nil {
		return err
	}
	defer f.Close()
	done := int64(0)
	for i, l := range layers {
		n, err := blob(ctx, f, l, func(n int64) { t.bytes(done+n, total) })
		if err == nil {
			done += n
			err = u.Layer(ctx, f)
		}
		if err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return nil
}

const blobAttempts = 3

// blob downloads a layer as it is in the registry, verified, and tries again where the connection
// breaks.
func blob(ctx context.Context, f *os.File, l v1.Layer, progress func(int64)) (int64, error) {
	for attempt := 1; ; attempt++ {
		n, err := copyBlob(f, l, progress)
		switch {
		case err == nil:
			return n, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case attempt == blobAttempts || !download.Transient(err) && !registry.Passing(err):
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Duration(attempt) * 500 * time.Millisecond):
		}
	}
}

func copyBlob(f *os.File, l v1.Layer, progress func(int64)) (int64, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	if err := f.Truncate(0); err != nil {
		return 0, err
	}
	r, err := l.Compressed()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(f, &counter{r: r, progress: progress})
}

// A counter tells how much was read.
type counter struct {
	r        io.Reader
	n        int64
	progress func(int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.progress(c.n)
	return n, err
}
