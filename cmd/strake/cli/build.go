package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/stages"
)

func newBuildCommand(t *tool) *cobra.Command {
	var opts buildFlags
	cmd := &cobra.Command{
		Use:   "build [flags]",
		Short: "Run all stages before deploy and list the images",
		Long: `Run the stages before deploy: images are built, pushed or resolved, and the
lock file is written. An image with a source is built only if something that goes
into it has changed, or if it is gone from the registry; --why names all of that.

With -k and -a, a kustomization is built and pushed as an artifact instead, as
strake artifact push does.`,
		Example: `  strake build -f app.yaml
  strake build -f app.yaml --why
  strake build -f app.yaml --rebuild
  strake build -f app.yaml --buildkit-addr tcp://buildkit.example.com:1234
  strake build -f app.yaml --imgpkg-lock-output .imgpkg/images.yml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.build(cmd, &opts) },
	}
	opts.add(cmd)
	opts.addReports(t, cmd)
	cmd.AddCommand(newBuildInventoryCommand(t))
	return cmd
}

// buildFlags are those of build.
type buildFlags struct {
	runFlags
	outputs lockOutputFlags
	push    buildAndPush
	why     bool
}

func (f *buildFlags) add(cmd *cobra.Command) {
	f.runFlags.add(cmd)
	f.outputs.add(cmd)
	f.push.add(cmd)
	cmd.Flags().BoolVar(&f.why, "why", false, "name everything that led to a build: files, arguments, base images")
}

func (t *tool) build(cmd *cobra.Command, o *buildFlags) error {
	if o.push.kustomize != "" {
		return t.artifactPush(cmd, o.push.artifact, o.push.options(o))
	}
	return t.conclude(cmd.Context(), "build", &o.outputFlags, func(events *render.JSON) (printable, error) {
		if err := o.outputs.check(cmd); err != nil {
			return nil, err
		}
		o.images = &kbld.Record{}
		s, err := t.openRuns(cmd, &o.runFlags)
		if err != nil {
			return nil, err
		}
		s.configure(func(opts *pipeline.Options) { opts.Until = stages.Build })
		_, run, err := t.runSteps(cmd.Context(), s, &o.engineFlags, events)
		if err == nil {
			err = o.outputs.write(o.images)
			run.failed = err != nil
		}
		return &buildResult{runResult: run, why: o.why}, err
	})
}

// A buildResult is a run's result of which people want to see the images.
type buildResult struct {
	*runResult
	why bool
}

func (r *buildResult) print(w io.Writer) {
	switch {
	case r.failed:
		return
	case len(r.Images) == 0:
		fmt.Fprintln(w, "no images: the manifests name none, or the file has no build step")
		return
	}
	var rows [][]string
	for _, i := range r.Images {
		size, took := "", ""
		if i.Size > 0 {
			size = units.HumanSize(float64(i.Size))
		}
		if i.Seconds > 0 {
			took = render.Seconds(time.Duration(i.Seconds * float64(time.Second)))
		}
		rows = append(rows, []string{i.From, i.Action, strings.Join(i.Platforms, ","), size, took, i.To, i.Reason})
	}
	table(w, []string{"IMAGE", "ACTION", "PLATFORMS", "SIZE", "TOOK", "BECAME", "REASON"}, rows)
	if r.why {
		r.printWhy(w)
	}
}

func (r *buildResult) printWhy(w io.Writer) {
	for _, i := range r.Images {
		fmt.Fprintf(w, "\n%s: %s\n", render.Line(i.From), render.Line(cmp.Or(i.Reason, i.Action)))
		for _, c := range i.Changed {
			fmt.Fprintf(w, "  %s\n", render.Line(c))
		}
	}
}
