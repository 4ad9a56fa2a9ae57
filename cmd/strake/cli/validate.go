package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type validateOptions struct {
	files []string
	outputFlags
}

func newValidateCommand(t *tool) *cobra.Command {
	var opts validateOptions
	cmd := &cobra.Command{
		Use:   "validate [flags] [FILE...]",
		Short: "Check files and touch nothing else",
		Long: `Check files as run would: their fields, and the configuration of every plugin;
of a Pipeline also its expressions, and the Apps that it names, for all targets.
All problems are reported at once, as file:line:column: field: problem. No
server is asked, and nothing is written.`,
		Example: `  strake validate
  strake validate apps/*.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.files = append(opts.files, args...)
			return t.validate(cmd.Context(), &opts)
		},
	}
	cmd.Flags().StringArrayVarP(&opts.files, "file", "f", nil, "`FILE` with an App or Pipeline, or - for standard input (repeatable; default: "+defaultFile+")")
	opts.addFormat(cmd)
	_ = cmd.MarkFlagFilename("file", "yaml", "yml") // the flag exists
	return cmd
}

func (t *tool) validate(ctx context.Context, o *validateOptions) error {
	return t.conclude(ctx, "validate", &o.outputFlags, func(*render.JSON) (printable, error) {
		files := o.files
		if len(files) == 0 {
			name, err := (&fileFlags{}).name()
			if err != nil {
				return nil, err
			}
			files = []string{name}
		}
		registry := stages.NewRegistry(t.Plugins(plugins.Deps{})...)
		loader := t.loader(ctx, func(schema.TargetKube) (*stages.Registry, error) { return registry, nil })
		loader.Check = true
		result := &validateResult{}
		var found schema.Diagnostics
		for _, name := range files {
			_, err := loader.Load(name)
			if ctx.Err() != nil {
				return nil, err
			}
			found.Collect(schema.Pos{File: name}, "", err)
			result.Files = append(result.Files, validated{File: name, Valid: err == nil})
		}
		return result, found.Err()
	})
}

// A validateResult lists the checked files.
type validateResult struct {
	Files []validated `json:"files"`
}

type validated struct {
	File  string `json:"file"`
	Valid bool   `json:"valid"`
}

// Print lists the valid files; the problems of the others are the command's error.
func (r *validateResult) print(w io.Writer) {
	for _, f := range r.Files {
		if f.Valid {
			fmt.Fprintf(w, "%s: valid\n", f.File)
		}
	}
}
