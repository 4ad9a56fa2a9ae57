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

// store returns the cache; it is nil where the user has no folder for it.
func (f *cacheFlags) store() (*cache.Store, error) {
	limit := int64(0)
	if f.size != "" {
		q, err := resource.ParseQuantity(f.size)
		if err != nil || q.Value() <= 0 {
			return nil, fmt.Errorf("--cache-size: %q is no size: expected one such as 500Mi or 10Gi", f.size)
		}
		limit = q.Value()
	}
	dir := f.dir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, nil
		}
		dir = filepath.Join(user, "strake", "downloads")
	}
	return cache.Open(dir, limit), nil
}
