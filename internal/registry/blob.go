package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Blob reads a configuration or layer of at most limit bytes. What the registry sends has to have the digest.
// Mirrors are asked first.
func (c *Client) Blob(ctx context.Context, digest name.Digest, limit int64) ([]byte, error) {
	return each(c, digest, func(p *remote.Puller, ref name.Reference) ([]byte, error) {
		return blob(ctx, p, ref.Context().Digest(digest.DigestStr()), limit)
	})
}

func blob(ctx context.Context, p *remote.Puller, digest name.Digest, limit int64) ([]byte, error) {
	layer, err := p.Layer(ctx, digest)
	if err != nil {
		return nil, err
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: has more than %d bytes", digest, limit)
	}
	got, _, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if got.String() != digest.DigestStr() {
		return nil, &Fault{Host: digest.RegistryStr(), Text: fmt.Sprintf("sends %s for %s", got, digest.DigestStr())}
	}
	return data, nil
}
