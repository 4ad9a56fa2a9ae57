package e2e

import (
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"strake.dev/strake/internal/registry"
)

func (w *world) tagsOf(repo string) []string {
	w.t.Helper()
	r, err := name.NewRepository(repo)
	if err != nil {
		w.t.Fatal(err)
	}
	tags, err := remote.List(r, remote.WithContext(w.t.Context()))
	if registry.NotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(tags)
	return tags
}
