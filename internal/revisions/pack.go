package revisions

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"

	core "k8s.io/api/core/v1"

	"strake.dev/strake/stages"
)

const (
	// dataKey is the key of a Secret that holds manifests.
	dataKey = "manifests.yaml.gz"
	// chunkSize is what fits into a Secret, of 1 MiB at most.
	chunkSize = core.MaxSecretSize - 1<<10
	// maxChunks is into how many Secrets the manifests of a deploy may go.
	maxChunks = 5
	// maxSize is how large manifests may be, so that a tampered record can't fill the memory.
	maxSize = 256 << 20
)

// pack compresses manifests into what fits into Secrets; those that are too large yield nothing.
func pack(manifests stages.Manifests) ([][]byte, error) {
	if len(manifests) > maxSize {
		return nil, nil
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(manifests); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if packed.Len() > maxChunks*chunkSize {
		return nil, nil
	}
	return slices.Collect(slices.Chunk(packed.Bytes(), chunkSize)), nil
}

func unpack(chunks [][]byte) (stages.Manifests, error) {
	r, err := gzip.NewReader(bytes.NewReader(slices.Concat(chunks...)))
	if err != nil {
		return nil, err
	}
	manifests, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(manifests) > maxSize {
		return nil, errors.New("they are larger than any that are recorded")
	}
	return manifests, r.Close()
}
