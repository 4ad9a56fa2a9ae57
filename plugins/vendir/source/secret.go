package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"strake.dev/strake/internal/git"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The keys that the secrets of sources may have, as in vendir; for those of registries see
// [registry.SecretKeys].
const (
	keyUsername   = "username"
	keyPassword   = "password"
	keyPrivateKey = "ssh-privatekey"
	keyKnownHosts = "ssh-knownhosts"
)

// secret returns the data of a Secret that may have the given keys only; without a ref, nothing.
func secret(ctx context.Context, job *stages.Job, ref *schema.LocalRef, keys ...string) (map[string][]byte, error) {
	if ref == nil {
		return nil, nil
	}
	if ref.Name == "" {
		return nil, errors.New("secretRef: names no Secret")
	}
	data, err := job.Objects.Secret(ctx, ref.Name)
	if err != nil {
		return nil, missing("secretRef", "Secret", ref.Name, err)
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if !slices.Contains(keys, key) {
			return nil, stages.WithHint(fmt.Errorf("secretRef: Secret %s has the unknown key %q", ref.Name, key),
				"expected %s", strings.Join(keys, ", "))
		}
	}
	return data, nil
}

// missing is the error of an object that couldn't be had.
func missing(field, kind, name string, err error) error {
	err = fmt.Errorf("%s: %s %s: %w", field, kind, name, err)
	if !errors.Is(err, stages.ErrNoObject) {
		return err
	}
	return stages.WithHint(err, "add a %s of that name to the App's file, or to the App's namespace in the cluster", kind)
}

// login returns the credentials of a Secret with username and password.
func login(ctx context.Context, job *stages.Job, ref *schema.LocalRef) (username, password string, err error) {
	data, err := secret(ctx, job, ref, keyUsername, keyPassword)
	return string(data[keyUsername]), string(data[keyPassword]), err
}

// redacted is an address without credentials.
func redacted(address string) string { return git.Redacted(address) }
