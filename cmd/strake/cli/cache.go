package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

func newCacheCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look at what was downloaded, and remove it",
		Long: `Look at what was downloaded, and remove it. The cache is shared by all Apps of a
user, and keeps itself within its size; all of it may be removed at any time.`,
		Example: "  strake cache ls\n  strake cache prune --to 1Gi",
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCacheListCommand(t), newCachePruneCommand(t))
	return cmd
}

func newCacheListCommand(t *tool) *cobra.Command {
	var opts outputFlags
	var flags cacheFlags
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Short:   "List what the cache holds, what was used last first",
		Example: "  strake cache ls",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "cache ls", &opts, func(*render.JSON) (printable, error) {
				store, err := flags.existing()
				if err != nil {
					return nil, err
				}
				entries, err := store.Entries(cmd.Context())
				return newCacheResult(store, entries), err
			})
		},
	}
	flags.add(cmd.Flags())
	opts.addFormat(cmd)
	return cmd
}

func newCachePruneCommand(t *tool) *cobra.Command {
	var opts outputFlags
	var flags cacheFlags
	var to string
	cmd := &cobra.Command{
		Use:     "prune [flags]",
		Short:   "Remove what was not used for the longest time",
		Long:    "Remove what was not used for the longest time, until the cache has its size, or\nanother one. What is in use stays.",
		Example: "  strake cache prune\n  strake cache prune --to 0",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "cache prune", &opts, func(*render.JSON) (printable, error) {
				store, err := flags.existing()
				if err != nil {
					return nil, err
				}
				limit, err := parseSize("to", to, flags.limit)
				if err != nil {
					return nil, err
				}
				removed, err := store.Prune(cmd.Context(), limit)
				r := newCacheResult(store, removed)
				r.pruned = true
				return r, err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`SIZE` to come down to (default: that of --cache-size)")
	flags.add(cmd.Flags())
	opts.addFormat(cmd)
	return cmd
}

// existing returns the cache, and an error where the user has no folder for it.
func (f *cacheFlags) existing() (*cache.Store, error) {
	store, err := f.store()
	if err == nil && store == nil {
		err = stages.WithHint(errors.New("cache: the user has no cache folder"), "name a folder with --cache-dir, or set XDG_CACHE_HOME or HOME")
	}
	return store, err
}

// A cacheResult lists what a cache holds, or what was removed from it.
type cacheResult struct {
	Folder  string        `json:"folder"`
	Bytes   int64         `json:"bytes"`
	Entries []cache.Entry `json:"entries"`

	pruned bool
}

func newCacheResult(store *cache.Store, entries []cache.Entry) *cacheResult {
	r := &cacheResult{Folder: store.Path(), Entries: entries}
	for _, e := range entries {
		r.Bytes += e.Size
	}
	return r
}

func (r *cacheResult) print(w io.Writer) {
	what := "%d entries, %s in %s\n"
	if r.pruned {
		what = "%d entries removed, %s, from %s\n"
	} else if len(r.Entries) > 0 {
		var rows [][]string
		for _, e := range r.Entries {
			rows = append(rows, []string{e.Kind, units.BytesSize(float64(e.Size)), e.Used.UTC().Format(time.RFC3339), e.Name})
		}
		table(w, []string{"KIND", "SIZE", "USED", "NAME"}, rows)
	}
	fmt.Fprintf(w, what, len(r.Entries), units.BytesSize(float64(r.Bytes)), r.Folder)
}
