package git

import (
	"context"

	"strake.dev/strake/internal/admission"
)

// admit makes sure that a mirror gives nothing to those whom the remote wouldn't let in.
func (r *Repository) admit(ctx context.Context, folder *mirror) error {
	if r.Cache == nil {
		return nil
	}
	credentials := admission.Credentials{[]byte(r.auth.Username), []byte(r.auth.Password), r.auth.PrivateKey}
	return admission.Check(folder.path, credentials, func() error {
		if r.admitted {
			return nil
		}
		_, err := r.Refs(ctx, "HEAD")
		return err
	})
}
