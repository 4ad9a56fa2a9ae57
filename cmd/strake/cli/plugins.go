package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"strake.dev/strake/internal/extension"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/plugins"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// addAllowPlugin adds the flag that lets executables be run.
func addAllowPlugin(flags *pflag.FlagSet, allowed *[]string) {
	flags.StringArrayVar(allowed, "allow-plugin", nil, "let steps run the plugin `NAME|PATH`, an executable: strake-plugin-NAME on PATH, or the file PATH (repeatable)")
	fromEnv(flags, "allow-plugin", "STRAKE_ALLOW_PLUGINS")
}

func newPluginsCommand(t *tool) *cobra.Command {
	var opts outputFlags
	var host extension.Host
	var lockFile string
	cmd := &cobra.Command{
		Use:   "plugins [flags]",
		Short: "List the plugins of each stage",
		Long: `List the plugins of each stage: the name that a Pipeline's “uses” says, and the
keys that entries of an App have. Then the executables strake-plugin-NAME on PATH:
whether steps may run them, and with --lock-file whether they are those of that
lock. None of them is run.`,
		Example: "  strake plugins",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "plugins", &opts, func(*render.JSON) (printable, error) {
				found, err := executables(&host, lockFile)
				if err != nil {
					return nil, err
				}
				return newPluginsResult(t.Plugins(plugins.Deps{}), found), nil
			})
		},
	}
	opts.addFormat(cmd)
	addAllowPlugin(cmd.Flags(), &host.Allowed)
	cmd.Flags().StringVar(&lockFile, "lock-file", "", "lock `FILE` that the executables are compared with")
	fromEnv(cmd.Flags(), "lock-file", "STRAKE_LOCK_FILE")
	cmd.AddCommand(newPluginsTestCommand(t))
	return cmd
}

// What a lock says of an executable.
const (
	lockedSame    = "same"
	lockedDiffers = "differs"
	lockedMissing = "missing"
)

// An executableInfo is an executable on PATH that is a plugin.
type executableInfo struct {
	extension.Found
	// Lock tells how it compares with the lock: same, differs, or missing there; empty without a lock.
	Lock string `json:"lock,omitempty"`
}

// executables finds the plugins on PATH, and compares them with a lock if a file is named.
func executables(host *extension.Host, lockFile string) ([]executableInfo, error) {
	var lock schema.Lock
	if lockFile != "" {
		data, err := os.ReadFile(lockFile) // one that isn't written yet has nothing in it
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if lock, err = schema.ReadLock(lockFile, data); err != nil {
			return nil, err
		}
	}
	var all []executableInfo
	for _, f := range host.Find() {
		info := executableInfo{Found: f}
		if lockFile != "" {
			was, ok := lock.Plugin(f.Name)
			switch {
			case !ok:
				info.Lock = lockedMissing
			case was.Digest == f.Digest:
				info.Lock = lockedSame
			default:
				info.Lock = lockedDiffers
			}
		}
		all = append(all, info)
	}
	return all, nil
}

// A pluginsResult describes plugins.
type pluginsResult struct {
	Plugins     []pluginInfo     `json:"plugins"`
	Executables []executableInfo `json:"executables,omitempty"`
}

type pluginInfo struct {
	Stage   stages.Stage `json:"stage"`
	Name    string       `json:"name"`
	Keys    []string     `json:"keys"`
	Version string       `json:"version"`
	Doc     string       `json:"doc"`
}

func newPluginsResult(all []stages.Plugin, found []executableInfo) *pluginsResult {
	r := &pluginsResult{Executables: found}
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
	if len(r.Executables) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows = nil
	for _, e := range r.Executables {
		allowed := "no"
		if e.Allowed {
			allowed = "yes"
		}
		rows = append(rows, []string{e.Name, e.Path, cmp.Or(e.Digest, e.Error), allowed, e.Lock})
	}
	table(w, []string{"EXECUTABLE", "PATH", "DIGEST", "ALLOWED", "LOCK"}, rows)
}
