package buildkit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"

	"strake.dev/strake/stages"
)

// cacheTypes are BuildKit's kinds of cache.
var cacheTypes = []string{"registry", "inline", "local", "gha", "s3", "azblob"}

const cacheLocal = "local"

// secretAttrs are the attributes of caches that nobody should see.
var secretAttrs = []string{"access_key_id", "secret_access_key", "session_token", "token", "ghtoken"}

// secretValues lists the secret attributes of caches.
func secretValues(caches ...Cache) []string {
	var values []string
	for _, cache := range caches {
		for _, key := range secretAttrs {
			if v := cache.Attrs[key]; v != "" {
				values = append(values, v)
			}
		}
	}
	return values
}

// caches checks caches, and adds what the environment says about those of GitHub Actions.
func (c *Client) caches(field string, list []Cache) ([]Cache, error) {
	var result []Cache
	for i, cache := range list {
		cache.Attrs = maps.Clone(cache.Attrs)
		if cache.Attrs == nil {
			cache.Attrs = map[string]string{}
		}
		if err := c.complete(field, &cache); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		result = append(result, cache)
	}
	return result, nil
}

// The names of the lists of caches, in messages.
const (
	cacheFrom = "cacheFrom"
	cacheTo   = "cacheTo"
)

func (c *Client) complete(field string, cache *Cache) error {
	need := ""
	switch cache.Type {
	case "registry":
		need = "ref"
	case cacheLocal:
		need = map[string]string{cacheFrom: "src", cacheTo: "dest"}[field]
	case "gha":
		return c.completeActions(cache)
	case "inline":
		if field == cacheFrom {
			return stages.WithHint(fmt.Errorf("a cache of type inline is part of an image"), "take it from there with type registry and ref")
		}
	}
	if !slices.Contains(cacheTypes, cache.Type) {
		return fmt.Errorf("type %q: expected one of %s", cache.Type, strings.Join(cacheTypes, ", "))
	}
	if need != "" && cache.Attrs[need] == "" {
		return fmt.Errorf("a cache of type %s needs %s", cache.Type, need)
	}
	return nil
}

// completeActions takes from the environment of a GitHub Actions job what its caches need, as buildctl
// does.
func (c *Client) completeActions(cache *Cache) error {
	env := c.opts.Getenv
	version := cache.Attrs["version"]
	if v2, err := strconv.ParseBool(env("ACTIONS_CACHE_SERVICE_V2")); version == "" && err == nil && v2 {
		version = "2"
	}
	for key, value := range map[string]string{
		"url":   cmp.Or(env("ACTIONS_CACHE_URL"), env("ACTIONS_RESULTS_URL")),
		"token": env("ACTIONS_RUNTIME_TOKEN"),
	} {
		if cache.Attrs[key] == "" && value != "" {
			cache.Attrs[key] = value
		}
	}
	if v := env("ACTIONS_RESULTS_URL"); version == "2" && cache.Attrs["url_v2"] == "" && v != "" {
		cache.Attrs["url_v2"] = v
	}
	const hint = "a step of GitHub Actions gets them with the action crazy-max/ghaction-github-runtime"
	switch {
	case cache.Attrs["url"] == "" && cache.Attrs["url_v2"] == "":
		return stages.WithHint(fmt.Errorf("a cache of type gha needs url, or the environment variable ACTIONS_RESULTS_URL"), hint)
	case cache.Attrs["token"] == "":
		return stages.WithHint(fmt.Errorf("a cache of type gha needs token, or the environment variable ACTIONS_RUNTIME_TOKEN"), hint)
	}
	return nil
}

// present leaves out local folders that hold no cache yet: the library would create them, and write a
// warning to standard error.
func present(list []Cache, name string, events stages.Observer) []Cache {
	return slices.DeleteFunc(slices.Clone(list), func(cache Cache) bool {
		if cache.Type != cacheLocal {
			return false
		}
		dir := cache.Attrs["src"]
		index, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err == nil && cache.Attrs["digest"] != "" {
			return false
		}
		if err == nil {
			desc, _, err := tagged(index, cmp.Or(cache.Attrs["tag"], "latest"))
			if err == nil && desc != nil {
				cache.Attrs["digest"] = desc.Digest.String()
				return false
			}
		}
		stages.Warn(events, fmt.Sprintf("%s: there is no cache in %s yet", name, dir))
		return true
	})
}

func entries(list []Cache) []client.CacheOptionsEntry {
	var result []client.CacheOptionsEntry
	for _, cache := range list {
		// The library adds to the attributes.
		result = append(result, client.CacheOptionsEntry{Type: cache.Type, Attrs: maps.Clone(cache.Attrs)})
	}
	return result
}

// folders lets one build at a time write to a local cache: the library gives up when the folder's
// index is in use.
type folders struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits until no other build writes to the caches' folders. The caller calls done.
func (f *folders) take(ctx context.Context, caches []Cache) (done func(), err error) {
	var dirs []string
	for _, cache := range caches {
		if cache.Type == cacheLocal {
			dirs = append(dirs, filepath.Clean(cache.Attrs["dest"]))
		}
	}
	// In one order, so that two builds don't wait for each other.
	slices.Sort(dirs)
	var taken []chan struct{}
	done = func() {
		for _, c := range taken {
			<-c
		}
	}
	for _, dir := range slices.Compact(dirs) {
		c := f.of(dir)
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
			done()
			return nil, ctx.Err()
		}
	}
	return done, nil
}

func (f *folders) of(dir string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy == nil {
		f.busy = map[string]chan struct{}{}
	}
	if f.busy[dir] == nil {
		f.busy[dir] = make(chan struct{}, 1)
	}
	return f.busy[dir]
}
