package cli

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	kapp "carvel.dev/kapp/pkg/kapp/version"
	kbld "carvel.dev/kbld/pkg/kbld/version"
	vendir "carvel.dev/vendir/pkg/vendir/version"
	ytt "carvel.dev/ytt/pkg/version"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/render"
)

func newVersionCommand(t *tool) *cobra.Command {
	var opts outputFlags
	cmd := &cobra.Command{
		Use:     "version [flags]",
		Short:   "Print the versions of strake and of what it embeds",
		Example: "  strake version -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "version", &opts, func(*render.JSON) (printable, error) {
				return t.versions(), nil
			})
		},
	}
	opts.addFormat(cmd)
	return cmd
}

// unknown stands for a version that neither the linker nor Go's record of the build tells.
const unknown = "unknown"

// version is strake's own. It is also what a workspace remembers, so it tells apart builds from
// different states of the source, as far as Go has recorded them.
func (t *tool) version() string {
	if t.Version != "" {
		return t.Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return cmp.Or(strings.Trim(info.Main.Version, "()"), unknown)
}

func (t *tool) userAgent() string { return "strake/" + t.version() }

// A versionsResult tells what a strake is made of.
type versionsResult struct {
	Strake    string    `json:"strake"`
	Libraries []library `json:"libraries"`
	Go        string    `json:"go"`
	Platform  string    `json:"platform"`
}

type library struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// versions tells the version of each library as the library itself knows it, where it was set at link
// time: that is what checks such as ytt's version.require_at_least see.
func (t *tool) versions() *versionsResult {
	modules := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			modules[dep.Path] = dep.Version
		}
	}
	r := &versionsResult{
		Strake: t.version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	for _, l := range []struct{ name, module, linked string }{
		{"vendir", "carvel.dev/vendir", vendir.Version},
		{"ytt", "carvel.dev/ytt", ytt.Version},
		{"kbld", "carvel.dev/kbld", kbld.Version},
		{"kapp", "carvel.dev/kapp", kapp.Version},
		{"imgpkg", "carvel.dev/imgpkg", ""},
		{"buildkit", "github.com/moby/buildkit", ""},
		{"kubernetes client", "k8s.io/client-go", ""},
	} {
		linked := l.linked
		if strings.Contains(linked, "develop") {
			linked = ""
		}
		version := strings.TrimPrefix(cmp.Or(linked, modules[l.module], unknown), "v")
		r.Libraries = append(r.Libraries, library{Name: l.name, Version: version})
	}
	return r
}

func (r *versionsResult) print(w io.Writer) {
	fmt.Fprintf(w, "strake %s\n", r.Strake)
	for _, l := range r.Libraries {
		fmt.Fprintf(w, "%s %s\n", l.Name, l.Version)
	}
	fmt.Fprintf(w, "%s %s\n", r.Go, r.Platform)
}
