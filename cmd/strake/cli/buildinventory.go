package cli

import (
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
)

type buildInventoryOptions struct {
	inputFlags
	remoteFlags
	outputFlags
	timeoutFlag
}

// newBuildInventoryCommand returns the command that prints what strake apply would apply.
func newBuildInventoryCommand(t *tool) *cobra.Command {
	var opts buildInventoryOptions
	cmd := &cobra.Command{
		Use:     "inventory [NAME] {-a URL|-f FILE|-k FOLDER} [flags]",
		Short:   "Print the manifests that strake apply would apply",
		Long:    "Read manifests as strake apply does, and print them in the order in which they are\napplied.",
		Example: "  strake build inventory app -a oci://ghcr.io/org/app-config:v1.0.0 -p patch.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.buildInventory(cmd, &opts) },
	}
	opts.inputFlags.add(cmd)
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd, formatYAML)
	opts.timeoutFlag.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("artifact", t.completeArtifacts(&opts.remoteFlags)) // the flag exists
	return cmd
}

// formatYAML is the form of manifests.
const formatYAML = "yaml"

func (t *tool) buildInventory(cmd *cobra.Command, o *buildInventoryOptions) error {
	if o.empty() {
		return noInputs(cmd)
	}
	return t.conclude(cmd.Context(), "build inventory", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		in, err := o.load(ctx, t, deps.Registry, func(string) {})
		if err != nil {
			return nil, err
		}
		if err := in.plain(); err != nil {
			return nil, err
		}
		text, err := in.YAML()
		return orNil(&buildInventoryResult{Manifests: string(text)}, err), err
	})
}

// A buildInventoryResult are manifests.
type buildInventoryResult struct {
	Manifests string `json:"manifests"`
}

func (r *buildInventoryResult) print(w io.Writer) {
	_, _ = io.WriteString(w, r.Manifests) // noticed at the end of the command
}
