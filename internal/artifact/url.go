package artifact

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/stages"
)

// scheme begins the URLs of artifacts.
const scheme = "oci://"

// ParseURL reads the URL of an artifact: oci://host/repository with a tag, a digest or both, of which the
// digest counts. Without either the tag is latest.
func ParseURL(url string) (name.Reference, error) {
	text, err := trim(url)
	if err != nil {
		return nil, err
	}
	ref, err := name.ParseReference(text)
	if err != nil {
		return nil, invalid(url, err)
	}
	return ref, nil
}

// ParseTag reads the URL of an artifact that is to be pushed, without a digest.
func ParseTag(url string) (name.Tag, error) {
	text, err := trim(url)
	if err != nil {
		return name.Tag{}, err
	}
	if strings.Contains(text, "@") {
		return name.Tag{}, stages.WithHint(fmt.Errorf("%s: expected a tag, found a digest", url), "what is pushed has the digest that its content gives it")
	}
	tag, err := name.NewTag(text)
	if err != nil {
		return name.Tag{}, invalid(url, err)
	}
	return tag, nil
}

// ParseRepository reads the URL of a repository, without a tag.
func ParseRepository(url string) (name.Repository, error) {
	text, err := trim(url)
	if err != nil {
		return name.Repository{}, err
	}
	repo, err := name.NewRepository(text)
	if err != nil {
		return name.Repository{}, invalid(url, err)
	}
	return repo, nil
}

func trim(url string) (string, error) {
	text, ok := strings.CutPrefix(url, scheme)
	if !ok || text == "" {
		return "", stages.WithHint(fmt.Errorf("%q is not the URL of an artifact", url), "expected oci://HOST/REPOSITORY:TAG, such as oci://ghcr.io/org/app-config:v1.0.0")
	}
	return text, nil
}

func invalid(url string, err error) error {
	return stages.WithHint(fmt.Errorf("%s: %w", url, err), "expected oci://HOST/REPOSITORY:TAG, such as oci://ghcr.io/org/app-config:v1.0.0")
}

// URL is that of a reference.
func URL(ref name.Reference) string { return scheme + ref.Name() }
