package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

type reportOptions struct {
	fileFlags
	workspaceFlags
	format enum
	output string
	list   bool
}

func newReportCommand(t *tool) *cobra.Command {
	var opts reportOptions
	cmd := &cobra.Command{
		Use:   "report [RUN] [flags]",
		Short: "Report on a run that has ended",
		Long: `Render a run again, in any format: the last one of the file, or the RUN of which
the ID, or the beginning of it, is given. The events of the last 20 runs of a
workspace are kept in its folder “runs”, also those of a run that was killed.`,
		Example: `  strake report -f app.yaml
  strake report -f app.yaml --list
  strake report 20260102T030405.678Z -f app.yaml --format html -o report.html`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef(cmd, "expected at most one run, found %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			store, err := opts.store()
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			runs, _ := store.List() // without any, there is nothing to complete
			return runs, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := opts.store()
			switch {
			case err != nil:
				return err
			case opts.list:
				return t.listRuns(store)
			}
			return t.report(store, strings.Join(args, ""), &opts)
		},
	}
	opts.fileFlags.add(cmd)
	opts.addFolder(cmd)
	opts.format = enum{value: formatText, allowed: t.reportNames(), what: "FORMAT"}
	addEnum(cmd, &opts.format, "format", "", "format of the report")
	cmd.Flags().StringVarP(&opts.output, "output", "o", "", "write the report to `FILE` (default: standard output)")
	cmd.Flags().BoolVar(&opts.list, "list", false, "list the runs that are kept")
	return cmd
}

// store finds the runs of the file, which need not be valid any more: those of its workspace, or if it was
// given another name meanwhile, of the one with the latest run.
func (o *reportOptions) store() (report.Store, error) {
	if o.workspace != "" {
		return report.OpenStore(o.workspace), nil
	}
	file, err := o.name()
	if err != nil {
		return report.Store{}, err
	}
	pattern, err := o.folder(file, "*")
	if err != nil {
		return report.Store{}, err
	}
	folders, _ := filepath.Glob(pattern) // it is a pattern
	latest := func(folder string) string {
		ids, _ := report.OpenStore(folder).List() // that it can't be read is told when it is
		return strings.Join(ids[:min(1, len(ids))], "")
	}
	if len(folders) == 0 {
		return report.Store{}, stages.WithHint(fmt.Errorf("%s: no run of it is kept", file), "runs keep their events in the workspace: name it with --workspace if that isn't the one in the user's cache folder")
	}
	return report.OpenStore(slices.MaxFunc(folders, func(a, b string) int { return cmp.Compare(latest(a), latest(b)) })), nil
}

func (t *tool) listRuns(store report.Store) error {
	ids, err := store.List()
	if err != nil {
		return err
	}
	var rows [][]string
	var errs []error
	for _, id := range ids {
		run, err := store.Load(id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		counts := run.Counts().Changes
		rows = append(rows, []string{
			id, run.Command, run.App, string(run.Outcome()), render.Seconds(time.Duration(run.Seconds * float64(time.Second))),
			fmt.Sprintf("+%d ~%d -%d", counts.Create, counts.Update, counts.Delete),
		})
	}
	table(t.harmless(t.out), []string{"RUN", "COMMAND", "APP", "OUTCOME", "TOOK", "CHANGES"}, rows)
	return errors.Join(errs...)
}

func (t *tool) report(store report.Store, id string, o *reportOptions) error {
	id, err := store.Find(id)
	if err != nil {
		return err
	}
	formats := t.reportFormats()
	format := formats[slices.IndexFunc(formats, func(f reportFormat) bool { return f.name == o.format.value })]
	var out bytes.Buffer
	if format.write == nil {
		err = store.Copy(&out, id)
	} else {
		var run *report.Run
		if run, err = store.Load(id); err == nil {
			err = format.write(&out, run)
		}
	}
	if err != nil {
		return err
	}
	if o.output != "" {
		return writeFile(o.output, out.Bytes())
	}
	to := t.out
	if format.name == formatText {
		_, err = t.harmless(to).Write(out.Bytes())
		return err
	}
	_, err = to.Write(out.Bytes())
	return err
}
