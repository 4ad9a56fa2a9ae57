package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

func newLockCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lock",
		Short:   "Work with the lock file",
		Example: "  strake lock update -f app.yaml",
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLockUpdateCommand(t))
	return cmd
}

func newLockUpdateCommand(t *tool) *cobra.Command {
	var opts runFlags
	var only []string
	cmd := &cobra.Command{
		Use:   "update [flags]",
		Short: "Resolve everything anew and write the lock file",
		Long: `Resolve what the lock file pins anew, and write the file: sources, images, and
what images are built from, such as base images. An image whose base has moved is
built again. Nothing is deployed.

With --only, just the named entries move, and all others stay as they are: as
with --locked, one that no longer fits is an error. An entry is the path of a
source, the reference of an image, what an image is built from (golang:1.26,
a URL), or a plugin that is an executable.`,
		Example: `  strake lock update -f app.yaml
  strake lock update -f app.yaml --only golang:1.26`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.lockUpdate(cmd, &opts, only) },
	}
	opts.add(cmd)
	opts.addReports(t, cmd)
	cmd.Flags().StringArrayVar(&only, "only", nil, "move only this entry: `NAME` of a source, an image, or a base (repeatable)")
	return cmd
}

func (t *tool) lockUpdate(cmd *cobra.Command, o *runFlags, only []string) error {
	if o.locked {
		return usagef(cmd, "--locked keeps the lock file as it is, and update changes it")
	}
	return t.conclude(cmd.Context(), "lock update", &o.outputFlags, func(events *render.JSON) (printable, error) {
		s, err := t.openRuns(cmd, o)
		if err != nil {
			return nil, err
		}
		if len(only) > 0 {
			if err := s.single(); err != nil {
				return nil, err
			}
		}
		if s.plan != nil && s.opts.LockFile == "" {
			return nil, stages.WithHint(errors.New("a file from standard input has no lock file"), "name one with --lock-file")
		}
		s.configure(func(opts *pipeline.Options) {
			opts.Until, opts.Move, opts.Renew = stages.Build, only, len(only) == 0
		})
		reports, run, err := t.runSteps(cmd.Context(), s, &o.engineFlags, events)
		result := &lockUpdateResult{runResult: run}
		for _, r := range reports {
			result.Moves = append(result.Moves, r.Moves...)
		}
		return result, withKnownEntries(err)
	})
}

// withKnownEntries adds to an error about an unknown entry which ones there are.
func withKnownEntries(err error) error {
	unknown, ok := errors.AsType[*pipeline.UnknownEntryError](err)
	if !ok {
		return err
	}
	if len(unknown.Known) == 0 {
		return stages.WithHint(err, "it is empty: run without --only first")
	}
	return stages.WithHint(err, "%s", schema.Suggest(unknown.Name, unknown.Known))
}

// A lockUpdateResult is a run's result of which people want to see what has moved.
type lockUpdateResult struct {
	*runResult
	Moves []schema.Move `json:"moves"`
}

func (r *lockUpdateResult) print(w io.Writer) {
	if r.failed {
		return
	}
	for _, m := range r.Moves {
		fmt.Fprintf(w, "%s: %s -> %s\n", render.Line(m.Entry), cmp.Or(short(m.From), "(new)"), cmp.Or(short(m.To), "(gone)"))
	}
	for _, l := range r.locks() {
		l.print(w)
	}
	fmt.Fprintf(w, "done in %s\n", render.Seconds(time.Duration(r.Seconds*float64(time.Second))))
}

// short leaves of a digest what tells it from others.
func short(text string) string {
	const digits = 12
	text = render.Line(text)
	before, hex, ok := strings.Cut(text, "sha256:")
	if !ok || len(hex) <= digits {
		return text
	}
	return before + "sha256:" + hex[:digits] + "…"
}
