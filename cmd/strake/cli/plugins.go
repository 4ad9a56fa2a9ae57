package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/plugins"
	"strake.dev/strake/stages"
)

func newPluginsCommand(t *tool) *cobra.Command {
	var opts outputFlags
	cmd := &cobra.Command{
		Use:   "plugins [flags]",
		Short: "List the plugins of each stage",
		Long: `List the plugins of each stage: the name that a Pipeline's “uses” says, and the
keys that entries of an App have.`,
		Example: "  strake plugins",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "plugins", &opts, func(*render.JSON) (printable, error) {
				return newPluginsResult(t.Plugins(plugins.Deps{})), nil
			})
		},
	}
	opts.addFormat(cmd)
	cmd.AddCommand(newPluginsTestCommand(t))
	return cmd
}

// A pluginsResult describes plugins.
type pluginsResult struct {
	Plugins []pluginInfo `json:"plugins"`
}

type pluginInfo struct {
	Stage   stages.Stage `json:"stage"`
	Name    string       `json:"name"`
	Keys    []string     `json:"keys"`
	Version string       `json:"version"`
	Doc     string       `json:"doc"`
}

func newPluginsResult(all []stages.Plugin) *pluginsResult {
	r := &pluginsResult{}
	for _, p := range all {
		r.Plugins = append(r.Plugins, pluginInfo{Stage: p.Stage, Name: p.Name, Keys: p.Keys, Version: p.Version, Doc: p.Doc})
	}
	return r
}

func (r *pluginsResult) print(w io.Writer) {
	var rows [][]string
	for _, p := range r.Plugins {
		rows = append(rows, []string{string(p.Stage), p.Name, strings.Join(p.Keys, ","), p.Version, p.Doc})
	}
	table(w, []string{"STAGE", "NAME", "KEYS", "VERSION", "DOES"}, rows)
}
