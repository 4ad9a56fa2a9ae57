// Schemagen writes the JSON Schemas of package schema, and the pages of docs/reference, from the Go types of the
// files and of the compiled-in plugins' configurations. “go generate ./schema” runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"strake.dev/strake/plugins"
	"strake.dev/strake/stages"
)

func main() {
	// go generate runs in the folder of the schemas.
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1) //nolint:forbidigo // this is a main function
	}
}

// write writes all files. dir is the folder of the schemas, in the module's folder.
func write(dir string) error {
	root := filepath.Join(dir, "..")
	plugins := stages.NewRegistry(plugins.Builtin(plugins.Deps{})...)
	comments, err := readComments(root)
	if err != nil {
		return err
	}
	schemas, err := generate(plugins, root)
	if err != nil {
		return err
	}
	for name, content := range schemas {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	pages := filepath.Join(root, referenceDir)
	if err := os.RemoveAll(pages); err != nil {
		return err
	}
	for name, content := range reference(plugins, comments) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
