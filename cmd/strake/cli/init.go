package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/moby/sys/atomicwriter"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/scaffold"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

type initOptions struct {
	outputFlags
	name, registry string
	force          bool
}

func newInitCommand(t *tool) *cobra.Command {
	var opts initOptions
	cmd := &cobra.Command{
		Use:   "init [flags] [FOLDER]",
		Short: "Write a first app.yaml from what a folder holds",
		Long: `Look for Dockerfiles, a chart, a kustomization, ytt files, manifests or a compose
file, and write app.yaml, which builds and deploys them. What had to be assumed is
told, and stands in the file. A file that exists is left alone.`,
		Example: `  strake init
  strake init --registry ghcr.io/org shop`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder := "."
			if len(args) == 1 {
				folder = args[0]
			}
			return t.init(cmd.Context(), folder, &opts)
		},
	}
	opts.addFormat(cmd)
	cmd.Flags().StringVar(&opts.name, "name", "", "`NAME` of the App (default: that of the folder)")
	cmd.Flags().StringVar(&opts.registry, "registry", "", "`PREFIX` of the repositories that images are pushed to (default: where the manifests have them)")
	cmd.Flags().BoolVar(&opts.force, "force", false, "replace an app.yaml that exists")
	return cmd
}

func (t *tool) init(ctx context.Context, folder string, o *initOptions) error {
	return t.conclude(ctx, "init", &o.outputFlags, func(*render.JSON) (printable, error) {
		file := filepath.Join(folder, defaultFile)
		if exists(file) && !o.force {
			return nil, stages.WithHint(fmt.Errorf("%s exists", file), "--force replaces it")
		}
		abs, err := filepath.Abs(folder)
		if err != nil {
			return nil, err
		}
		if o.name == "" {
			o.name = scaffold.Name(filepath.Base(abs))
		}
		found, err := scaffold.Find(folder)
		if err != nil {
			return nil, err
		}
		first, err := found.Write(ctx, scaffold.Options{Name: o.name, Registry: o.registry})
		if errors.Is(err, scaffold.ErrNothing) {
			return nil, stages.WithHint(fmt.Errorf("%s: %w", folder, err), "expected a Dockerfile, a chart, a kustomization, ytt files, manifests or a compose file; app.yaml.example shows a whole App")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		// Nothing is written that run would refuse.
		registry := stages.NewRegistry(t.Plugins(plugins.Deps{})...)
		loader := t.loader(ctx, func(schema.TargetKube) (*stages.Registry, error) { return registry, nil })
		loader.Read = func(string) ([]byte, error) { return first.File, nil }
		if _, err := loader.Load(file); err != nil {
			return nil, err
		}
		if err := atomicwriter.WriteFile(file, first.File, 0o644); err != nil {
			return nil, err
		}
		return &initResult{File: file, Assumed: first.Assumed}, nil
	})
}

// An initResult is the file that was written.
type initResult struct {
	File    string   `json:"file"`
	Assumed []string `json:"assumed"`
}

func (r *initResult) print(w io.Writer) {
	fmt.Fprintf(w, "%s written. Assumed:\n", r.File)
	for _, line := range r.Assumed {
		fmt.Fprintf(w, "- %s\n", render.Line(line))
	}
	fmt.Fprintf(w, "next: strake plan -f %s\n", r.File)
}
