package watch

import (
	"path"
	"slices"
)

// ignored are the names of what isn't edited by anybody: version control's own files, and those that
// editors (vim, Emacs, JetBrains, GNOME, Kate, macOS) make beside the edited one.
var ignored = []string{
	".git", ".hg", ".svn",
	".*.sw?", ".*.swpx", "4913", "*~", ".#*", "#*#", "*___jb_tmp___", "*___jb_old___", ".goutputstream-*", "*.kate-swp", ".DS_Store",
	".tmp-*", // what strake itself writes before it is put in place
}

// Ignored tells whether changes of files and folders with that name aren't told.
func Ignored(name string) bool {
	return slices.ContainsFunc(ignored, func(pattern string) bool {
		ok, _ := path.Match(pattern, name) // the patterns are well-formed
		return ok
	})
}
