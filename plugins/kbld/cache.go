package kbld

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A cache is a place for build steps as it stands in a file.
type cache buildkit.Cache

// cacheType says what a type of cache needs and knows, in BuildKit's words.
type cacheType struct {
	// from and to are the attributes that it must have.
	from, to []string
	// known are further ones.
	known []string
}

// exportAttrs are attributes that most types know when they are exported to.
var exportAttrs = []string{
	"mode", "compression", "compression-level", "force-compression", "oci-mediatypes", "image-manifest", "ignore-error",
}

var (
	s3Attrs = []string{
		"bucket", "region", "prefix", "manifests_prefix", "blobs_prefix", "name", "touch_refresh", "endpoint_url", "access_key_id",
		"secret_access_key", "session_token", "use_path_style", "upload_parallelism", "disable_accept_encoding", "retry_mode",
		"retry_max_attempts",
	}
	azblobAttrs = []string{"account_url", "account_name", "container", "prefix", "manifests_prefix", "blobs_prefix", "name", "secret_access_key"}
	ghaAttrs    = []string{"url", "url_v2", "token", "scope", "repository", "ghtoken", "timeout", "version"}
)

const (
	cacheLocal    = "local"
	cacheInline   = "inline"
	cacheRegistry = "registry"
	cacheGHA      = "gha"
	cacheS3       = "s3"
)

var cacheTypes = map[string]cacheType{
	cacheRegistry: {from: []string{"ref"}, to: []string{"ref"}, known: []string{"registry.insecure"}},
	cacheInline:   {},
	cacheLocal:    {from: []string{"src"}, to: []string{"dest"}, known: []string{"digest", "tag"}},
	cacheGHA:      {known: ghaAttrs},
	cacheS3:       {known: s3Attrs},
	"azblob":      {known: azblobAttrs},
}

// secretAttrs are attributes that hold secrets.
var secretAttrs = []string{"token", "ghtoken", "secret_access_key", "session_token"}

// DecodeNode reads a mapping with a type and attributes, or docker's short form of it.
func (c *cache) DecodeNode(n *schema.Node) error {
	if !n.IsMapping() {
		var err error
		*c, err = parseCache(n.Text())
		return at(n, err)
	}
	c.Attrs = map[string]string{}
	for _, p := range n.Pairs() {
		if p.Value.IsMapping() || p.Value.Items() != nil {
			return p.Value.Errorf("expected a text")
		}
		c.Attrs[p.Key] = p.Value.Text()
	}
	c.Type = c.Attrs["type"]
	delete(c.Attrs, "type")
	if c.Type == "" {
		return n.Errorf("has no type: expected one of %s", strings.Join(sortedKeys(cacheTypes), ", "))
	}
	return nil
}

// parseCache reads docker's short form: the reference of an image, or type=TYPE,ATTRIBUTE=VALUE,….
func parseCache(text string) (cache, error) {
	if text != "" && !strings.ContainsAny(text, "=,") {
		return cache{Type: cacheRegistry, Attrs: map[string]string{"ref": text}}, nil
	}
	attrs, err := attributes(text)
	if err != nil {
		return cache{}, err
	}
	c := cache{Type: attrs["type"], Attrs: attrs}
	delete(attrs, "type")
	if c.Type == "" {
		return c, errors.New("expected the reference of an image, or the form type=registry,ref=REFERENCE")
	}
	return c, nil
}

// attributes reads NAME=VALUE,NAME=VALUE with the quotes of CSV, as docker has it for most options
// that are structured. What isn't of that form is not repeated: it may be a piece of a secret.
func attributes(text string) (map[string]string, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return nil, errors.New("expected the form NAME=VALUE,NAME=VALUE")
	}
	attrs := map[string]string{}
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !ok || key == "" {
			return nil, errors.New("expected the form NAME=VALUE,NAME=VALUE")
		}
		if _, twice := attrs[key]; twice {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		attrs[key] = value
	}
	return attrs, nil
}

func (r *request) addCacheFrom(c cache) error {
	if c.Type == cacheInline {
		return stages.WithHint(errors.New("cache type inline is for cacheTo only"), "take it from the image that holds it: type=registry,ref=REFERENCE")
	}
	r.options.CacheFrom = append(r.options.CacheFrom, buildkit.Cache(c))
	return c.check(cacheTypes[c.Type].from, nil)
}

func (r *request) addCacheTo(c cache) error {
	r.options.CacheTo = append(r.options.CacheTo, buildkit.Cache(c))
	if mode, ok := c.Attrs["mode"]; ok && mode != "min" && mode != "max" {
		return fmt.Errorf("cache mode %q: expected min or max", mode)
	}
	return c.check(cacheTypes[c.Type].to, exportAttrs)
}

// check looks for the attributes that must be there, and for unknown ones.
func (c cache) check(needed, more []string) error {
	t, ok := cacheTypes[c.Type]
	if !ok {
		return stages.WithHint(fmt.Errorf("cache type %q is not supported", c.Type), "%s", schema.Suggest(c.Type, sortedKeys(cacheTypes)))
	}
	for _, key := range needed {
		if c.Attrs[key] == "" {
			return fmt.Errorf("cache type %s: %s is missing", c.Type, key)
		}
	}
	known := slices.Concat(needed, t.known, more)
	for _, key := range sortedKeys(c.Attrs) {
		if !slices.Contains(known, key) {
			return stages.WithHint(fmt.Errorf("cache type %s: unknown attribute %q", c.Type, key), "%s", schema.Suggest(key, known))
		}
	}
	if ref := c.Attrs["ref"]; c.Type == cacheRegistry && ref != "" {
		if _, err := name.ParseReference(ref); err != nil {
			return fmt.Errorf("cache type %s: ref %q is not the reference of an image", c.Type, ref)
		}
	}
	return nil
}

// sharedCache returns the caches of an image's build in a repository for all of them. A cache that can't be
// written fails no build.
func sharedCache(repository, image string) (from, to []buildkit.Cache, err error) {
	tag := tagOf(image)
	ref, err := name.NewTag(repository + ":" + tag)
	if err != nil {
		return nil, nil, stages.WithHint(fmt.Errorf("build cache %q is not a repository: %w", repository, err), "such as --build-cache registry.example.com/team/cache")
	}
	from = []buildkit.Cache{{Type: cacheRegistry, Attrs: map[string]string{"ref": ref.Name()}}}
	to = []buildkit.Cache{{Type: cacheRegistry, Attrs: map[string]string{"ref": ref.Name(), "mode": "max", "ignore-error": "true"}}}
	return from, to, nil
}

// tagOf is a tag for an image's name, of which different names that look alike have different ones.
func tagOf(image string) string {
	const longest = 80
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, image)
	sum := sha256.Sum256([]byte(image))
	return "b-" + clean[:min(len(clean), longest)] + "-" + hex.EncodeToString(sum[:4])
}

// cachesFor completes caches by what only the machine knows: where a local one is, and the
// credentials that AWS's tools have in their environment.
func cachesFor(caches []buildkit.Cache, job *stages.Job) ([]buildkit.Cache, error) {
	var all []buildkit.Cache
	for _, c := range caches {
		attrs := maps.Clone(c.Attrs)
		if attrs == nil {
			attrs = map[string]string{}
		}
		for _, key := range []string{"src", "dest"} {
			if attrs[key] == "" || c.Type != cacheLocal {
				continue
			}
			var err error
			if attrs[key], err = localPath(job, attrs[key]); err != nil {
				return nil, err
			}
		}
		if c.Type == cacheS3 && attrs["access_key_id"] == "" && attrs["secret_access_key"] == "" {
			for key, variable := range awsVariables {
				if value := os.Getenv(variable); value != "" {
					attrs[key] = value
				}
			}
		}
		for _, key := range secretAttrs {
			if value := attrs[key]; value != "" {
				job.Hide([]byte(value))
			}
		}
		all = append(all, buildkit.Cache{Type: c.Type, Attrs: attrs})
	}
	return all, nil
}

// awsVariables hold the credentials of AWS's tools, which “docker buildx” takes too.
var awsVariables = map[string]string{
	"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY", "session_token": "AWS_SESSION_TOKEN",
}
