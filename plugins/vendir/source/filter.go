package source

import (
	"context"
	"io/fs"
	"os"
	"path"
	"slices"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"
	"github.com/bmatcuk/doublestar"
)

// empty tells whether the filter takes everything.
func (f *Filter) empty() bool { return len(f.IncludePaths) == 0 && len(f.ExcludePaths) == 0 }

// apply removes what the filter doesn't take, as vendir does: legal files stay even where they are excluded.
func (f *Filter) apply(ctx context.Context, root *os.Root) error {
	if f.empty() {
		return nil
	}
	legal := vendirconf.DefaultLegalPaths
	if f.LegalPaths != nil {
		legal = *f.LegalPaths
	}
	include, exclude, legal := cleaned(f.IncludePaths), cleaned(f.ExcludePaths), cleaned(legal)
	var out []string
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || e.IsDir() {
			return err
		}
		takes := (len(include) == 0 || matches(include, name)) && !matches(exclude, name) || matches(legal, name)
		if !takes {
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range out {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// cleaned brings patterns into the form of the names that they are compared with.
func cleaned(patterns []string) []string {
	clean := make([]string, len(patterns))
	for i, p := range patterns {
		clean[i] = path.Clean(p)
	}
	return clean
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := doublestar.Match(pattern, name) // the configuration was checked
		return ok
	})
}
