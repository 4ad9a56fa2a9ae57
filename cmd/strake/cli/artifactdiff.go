package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/content"
	"strake.dev/strake/internal/render"
)

type artifactDiffOptions struct {
	inputFlags
	remoteFlags
	outputFlags
	timeoutFlag
	exitCode bool
}

func newArtifactDiffCommand(t *tool) *cobra.Command {
	var opts artifactDiffOptions
	cmd := &cobra.Command{
		Use:   "diff URL URL [flags]",
		Short: "Compare the objects of two artifacts",
		Long: `Compare two artifacts object by object. The values of Secrets are masked. With
--exit-code the exit code is 2 if there is a difference.`,
		Example: "  strake artifact diff oci://ghcr.io/org/app-config:v1.0.0 oci://ghcr.io/org/app-config:v1.0.1",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef(cmd, "expected the URLs of two artifacts, found %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: upTo(2, t.completeArtifacts(&opts.remoteFlags)),
		RunE:              func(cmd *cobra.Command, args []string) error { return t.artifactDiff(cmd, args, &opts) },
	}
	opts.addPull(cmd)
	opts.addRegistry(cmd.Flags())
	opts.addFormat(cmd)
	opts.timeoutFlag.add(cmd)
	cmd.Flags().BoolVar(&opts.exitCode, "exit-code", false, "exit with 2 if there is a difference")
	return cmd
}

func (t *tool) artifactDiff(cmd *cobra.Command, urls []string, o *artifactDiffOptions) error {
	return t.conclude(cmd.Context(), "artifact diff", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(cmd.Context())
		defer cancel()
		deps, err := o.deps(t.userAgent())
		if err != nil {
			return nil, err
		}
		o.artifacts = urls
		pulled, err := o.pull(ctx, deps.Registry, func(string) {})
		if err != nil {
			return nil, err
		}
		var sets [2]*content.Set
		for n, a := range pulled {
			streams, err := a.Manifests(ctx, t.warn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.URL, err)
			}
			if sets[n], err = content.Load(ctx, content.Inputs{Streams: streams}); err != nil {
				return nil, err
			}
		}
		result := &artifactDiffResult{From: factsOf(pulled[0]).Artifact, To: factsOf(pulled[1]).Artifact}
		if result.Changes, err = content.Diff(sets[0], sets[1]); err != nil {
			return nil, err
		}
		if o.exitCode && len(result.Changes) > 0 {
			return result, errPending
		}
		return result, nil
	})
}

// An artifactDiffResult is in what two artifacts differ.
type artifactDiffResult struct {
	From    string           `json:"from"`
	To      string           `json:"to"`
	Changes []content.Change `json:"changes"`
}

func (r *artifactDiffResult) print(w io.Writer) {
	for _, c := range r.Changes {
		fmt.Fprintf(w, "► %s %s\n%s", render.Line(c.Object), c.Op, render.Text(c.Diff))
	}
}
