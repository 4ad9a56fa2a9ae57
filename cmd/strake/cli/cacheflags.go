package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"strake.dev/strake/internal/cache"
)

// cacheFlags say where what was downloaded is kept, and how much of it.
type cacheFlags struct{ dir, size string }

func (f *cacheFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "cache-dir", "", "`FOLDER` for what was downloaded, shared by Apps and processes (default: strake/downloads in the user's cache folder)")
	fromEnv(flags, "cache-dir", "STRAKE_CACHE_DIR")
	flags.StringVar(&f.size, "cache-size", "", "`SIZE` that the cache may have; what was not used for the longest time goes first (default: 10Gi)")
	fromEnv(flags, "cache-size", "STRAKE_CACHE_SIZE")
}

// limit is the size in bytes that the cache may have.
func (f *cacheFlags) limit() (int64, error) {
	if f.size == "" {
		return cache.DefaultLimit, nil
	}
	limit, err := parseSize("cache-size", f.size, nil)
	if err == nil && limit == 0 {
		err = fmt.Errorf("--cache-size: %q is no size: expected one such as 500Mi or 10Gi", f.size)
	}
	return limit, err
}

// parseSize reads the size that a flag gives, in bytes; if it gives none, missing tells it.
func parseSize(flag, text string, missing func() (int64, error)) (int64, error) {
	if text == "" && missing != nil {
		return missing()
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Value() < 0 {
		return 0, fmt.Errorf("--%s: %q is no size: expected one such as 500Mi or 10Gi", flag, text)
	}
	return q.Value(), nil
}

// store returns the cache; it is nil where the user has no folder for it.
func (f *cacheFlags) store() (*cache.Store, error) {
	limit, err := f.limit()
	if err != nil {
		return nil, err
	}
	dir := f.folder()
	if dir == "" {
		return nil, nil
	}
	return cache.Open(dir, limit), nil
}

// folder is where the cache is; empty if the user has no place for one.
func (f *cacheFlags) folder() string {
	if f.dir != "" {
		return f.dir
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(user, "strake", "downloads")
}
