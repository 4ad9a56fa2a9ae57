package cli

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"carvel.dev/ytt/pkg/yamlmeta"
	"github.com/spf13/cobra"

	"strake.dev/strake/cmd/strake/kapp"
	"strake.dev/strake/cmd/strake/vendir"
	"strake.dev/strake/cmd/strake/ytt"
	"strake.dev/strake/internal/cache"
	"strake.dev/strake/internal/hook"
)

// A namesake is another program that strake is, when it is called by that name, or with it as the first
// argument.
type namesake struct {
	name, short, long, example string
	// main is that program. Its error was printed already, and is a toldError.
	main func(t *tool, ctx context.Context, args []string) error
}

// namesakes are all of them.
var namesakes = []namesake{
	{
		name:  "ytt",
		short: "Be ytt",
		long: `Be ytt: render templates and overlays of YAML, without an App. All commands, flags,
output and exit codes are ytt's.`,
		example: "  strake ytt -f config/ -v replicas=2",
		main:    (*tool).ytt,
	},
	{
		name:  "kbld",
		short: "Be kbld, with BuildKit as the builder",
		long: `Be kbld: build and resolve the images of Kubernetes manifests, without an App.
Sources are built with BuildKit; --buildkit-addr is STRAKE_BUILDKIT_ADDR here.`,
		example: "  strake kbld -f config/ > resolved.yml",
		main:    (*tool).kbld,
	},
	{
		name:  "kapp",
		short: "Be kapp",
		long: `Be kapp: deploy manifests, see and delete what was deployed, without an App. All
commands, flags, output and exit codes are kapp's, and so are its records in the
cluster.`,
		example: "  strake kapp deploy -a demo -f resolved.yml",
		main:    (*tool).kapp,
	},
	{
		name:  "vendir",
		short: "Be vendir",
		long: `Be vendir: bring what a vendir.yml lists into folders, without an App. All commands,
flags, output and exit codes are vendir's.`,
		example: "  strake vendir sync",
		main:    (*tool).vendir,
	},
}

// namesakeOf finds out which other program the arguments of a process call, if any, and with which
// arguments.
func namesakeOf(args []string) (namesake, []string, bool) {
	if n, ok := named(strings.TrimSuffix(filepath.Base(args[0]), ".exe")); ok {
		return n, args[1:], true
	}
	if len(args) > 1 {
		n, ok := named(args[1])
		return n, args[2:], ok
	}
	return namesake{}, nil, false
}

func named(name string) (namesake, bool) {
	i := slices.IndexFunc(namesakes, func(n namesake) bool { return n.name == name })
	if i < 0 {
		return namesake{}, false
	}
	return namesakes[i], true
}

// newNamesakeCommand returns the command that is another program.
func newNamesakeCommand(t *tool, n namesake) *cobra.Command {
	return &cobra.Command{
		Use:   n.name + " [flags]",
		Short: n.short,
		Long: n.long + `

A strake that is called as ` + n.name + `, for example by a symbolic link of that name, does the
same. See “strake ` + n.name + ` --help”.`,
		Example:            n.example,
		DisableFlagParsing: true,
		RunE:               func(cmd *cobra.Command, args []string) error { return n.main(t, cmd.Context(), args) },
	}
}

// A toldError is the failure of a program that has printed it, with the code to exit with.
type toldError struct {
	text string
	code int
}

func (e *toldError) Error() string { return e.text }

// told is what becomes of a program's own error.
func told(err error) error {
	if err == nil {
		return nil
	}
	return &toldError{text: err.Error(), code: exitFailed}
}

// abort ends a process whose library can't be told to stop.
func (t *tool) abort(ctx context.Context) func() {
	return func() { os.Exit(exitCode(ctx, context.Cause(ctx))) }
}

func (t *tool) ytt(ctx context.Context, args []string) error {
	return told(ytt.Main(ctx, args, ytt.Program{
		Stdout: t.out, Stderr: t.err, Abort: t.abort(ctx),
		Paths: func(paths []string) error {
			if !hook.Enabled(t.getenv) {
				return nil
			}
			return hook.CheckPaths(paths)
		},
		// It is what lets kbld know which App's folder a source counts from.
		Documents: func(set *yamlmeta.DocumentSet, paths []string) (bool, error) {
			return hook.StampDocuments(set, paths, t.getenv)
		},
	}))
}

func (t *tool) kapp(ctx context.Context, args []string) error {
	err := kapp.Main(ctx, args, t.abort(ctx))
	if err == nil {
		return nil
	}
	return &toldError{text: err.Error(), code: kapp.ExitCode(err)}
}

func (t *tool) vendir(ctx context.Context, args []string) error {
	// Its flags are vendir's: ours are variables only.
	own := cacheFlags{dir: t.getenv("STRAKE_CACHE_DIR"), size: t.getenv("STRAKE_CACHE_SIZE")}
	return told(vendir.Main(ctx, args, vendir.Program{UserAgent: t.userAgent(), Getenv: t.getenv, Cache: func(dir string) (*cache.Store, error) {
		return (&cacheFlags{dir: cmp.Or(dir, own.dir), size: own.size}).store()
	}}))
}
