package cue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/module"
)

// readOrphan reads a file of paths that is no CUE. The loader names it from the root.
func readOrphan(files fs.FS, name string) (data, error) {
	clean := strings.TrimPrefix(path.Clean(name), "/")
	content, err := fs.ReadFile(files, clean)
	if err != nil {
		return data{}, err
	}
	return decode(clean, path.Base(clean), content)
}

// decode reads values in the format that the file's name says.
func decode(name, base string, content []byte) (data, error) {
	d := data{name: name}
	switch path.Ext(base) {
	case ".json":
		doc, err := json.Extract(name, content)
		if err != nil {
			return d, err
		}
		d.docs = []ast.Expr{doc}
	case ".yaml", ".yml":
		decoder := yaml.NewDecoder(name, bytes.NewReader(content))
		for {
			doc, err := decoder.Extract()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return d, err
			}
			d.docs = append(d.docs, doc)
		}
	case ".cue":
		file, err := parser.ParseFile(name, content, parser.ParseComments)
		if err != nil {
			return d, err
		}
		d.file = file
	default:
		return d, fmt.Errorf("%s: expected a name that ends in .yaml, .yml, .json or .cue", name)
	}
	return d, nil
}

// noRegistry is the registry of a machine without network.
type noRegistry struct{}

var errRegistry = errors.New("no registry is asked while templating")

func (noRegistry) ModFile(_ context.Context, m module.Version) (*modfile.File, error) {
	return nil, fmt.Errorf("module %s: %w", m, errRegistry)
}

func (noRegistry) Fetch(_ context.Context, m module.Version) (module.SourceLoc, error) {
	return module.SourceLoc{}, fmt.Errorf("module %s: %w", m, errRegistry)
}

func (noRegistry) ModuleVersions(_ context.Context, name string) ([]string, error) {
	return nil, fmt.Errorf("module %s: %w", name, errRegistry)
}
