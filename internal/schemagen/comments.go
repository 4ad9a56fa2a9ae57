package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// module is the path of the module whose comments become descriptions.
const module = "strake.dev/strake"

// comments are the doc comments of types and fields, also of those that aren't exported, as texts of a YAML file are
// read into such; by package path, type and field.
type comments map[string]string

// readComments reads the packages that declare what users write and read. root is the module's folder.
func readComments(root string) (comments, error) {
	c := comments{}
	for _, dir := range []string{"schema", "plugins", "stages", "internal/report"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			in, err := filepath.Rel(root, filepath.Dir(name))
			if err == nil {
				c.add(path.Join(module, filepath.ToSlash(in)), file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add adds the comments of a file.
func (c comments) add(pkg string, file *ast.File) {
	for _, decl := range file.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			spec := spec.(*ast.TypeSpec) // those of TYPE are
			of := pkg + "." + spec.Name.Name
			c[of] = cmp.Or(spec.Doc, types.Doc).Text()
			body, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range body.Fields.List {
				for _, name := range field.Names {
					c[of+"."+name.Name] = cmp.Or(field.Doc, field.Comment).Text()
				}
			}
		}
	}
}

// of returns the comment of a type, or of one of its fields, as one line.
func (c comments) of(pkg string, names ...string) string {
	return strings.Join(strings.Fields(c[path.Clean(pkg)+"."+strings.Join(names, ".")]), " ")
}
