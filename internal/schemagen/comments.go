package main

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/invopop/jsonschema"
)

// module is the path of the module whose comments become descriptions.
const module = "strake.dev/strake"

// comments are the doc comments of exported types and fields, by package path, type and field.
type comments map[string]string

// readComments reads the packages that declare what users write and read. root is the module's folder.
func readComments(root string) (comments, error) {
	r := &jsonschema.Reflector{}
	for _, dir := range []string{"schema", "plugins", "stages", "internal/report"} {
		// The library names a package by its base joined with the folder as given, so the base has
		// to undo the way up from here.
		from := filepath.Join(root, dir)
		up := strings.Count(filepath.ToSlash(from), "..")
		base := module + strings.Repeat("/x", up)
		if err := r.AddGoComments(base, from, jsonschema.WithFullComment()); err != nil {
			return nil, err
		}
	}
	return r.CommentMap, nil
}

// of returns the comment of a type, or of one of its fields, as one line.
func (c comments) of(pkg string, names ...string) string {
	return strings.Join(strings.Fields(c[path.Clean(pkg)+"."+strings.Join(names, ".")]), " ")
}
