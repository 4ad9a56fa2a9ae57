// Schemagen writes the JSON Schemas of package schema, from the Go types of the files and of the
// compiled-in plugins' configurations. “go generate ./schema” runs it.
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

func write(dir string) error {
	files, err := generate(stages.NewRegistry(plugins.Builtin(plugins.Deps{})...), filepath.Join(dir, ".."))
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
