package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/plugintest"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/stages"
)

func newPluginsTestCommand(t *tool) *cobra.Command {
	var opts outputFlags
	var subject plugintest.Subject
	var with, manifests string
	cmd := &cobra.Command{
		Use:   "test PATH [flags]",
		Short: "Test whether an executable keeps the protocol of plugins",
		Long: `Test whether an executable keeps the protocol of plugins: how it answers a strake
that it doesn't know, requests that are wrong, and a request to work, twice. It is
run, confined as steps are. The exit code is 1 if it fails a check.`,
		Example: "  strake plugins test ./strake-plugin-label --with '{owner: shop}'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.conclude(cmd.Context(), "plugins test", &opts, func(*render.JSON) (printable, error) {
				var err error
				if subject.Path, err = filepath.Abs(args[0]); err != nil {
					return nil, err
				}
				if subject.With, err = yaml.YAMLToJSON([]byte(with)); err != nil {
					return nil, fmt.Errorf("--with: %w", err)
				}
				subject.Manifests = []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: test\n")
				if manifests != "" {
					if subject.Manifests, err = os.ReadFile(manifests); err != nil {
						return nil, err
					}
				}
				subject.Observer = nobody{}
				result := &pluginsTestResult{Checks: plugintest.Run(cmd.Context(), &subject)}
				for _, c := range result.Checks {
					if c.Error != "" {
						return result, fmt.Errorf("%s fails a check: %s: %s", filepath.Base(subject.Path), c.Name, c.Error)
					}
				}
				return result, nil
			})
		},
	}
	opts.addFormat(cmd)
	cmd.Flags().StringVar(&subject.Stage, "stage", "", "`STAGE` to ask it for (default: the first that it has)")
	cmd.Flags().StringVar(&with, "with", "null", "its configuration, as `YAML`")
	cmd.Flags().StringVar(&manifests, "manifests", "", "`FILE` with the manifests that it gets (default: a ConfigMap)")
	return cmd
}

// nobody is told nothing.
type nobody struct{}

func (nobody) Observe(stages.Event) {}

// A pluginsTestResult is a list of checks.
type pluginsTestResult struct {
	Checks []plugintest.Check `json:"checks"`
}

func (r *pluginsTestResult) print(w io.Writer) {
	for _, c := range r.Checks {
		if c.Error == "" {
			fmt.Fprintln(w, "ok    "+c.Name)
		} else {
			fmt.Fprintln(w, "FAIL  "+c.Name+": "+render.Line(c.Error))
		}
	}
}
