package build

import (
	"path"
	"strings"
)

// A Module is a nested Go module that the sandbox's programs are built from. Each has its own go.mod,
// because their dependencies don't agree on versions and the launcher must stay small.
type Module struct {
	Name string // folder below components
	// Packages are the import paths of its programs.
	Packages []string
	// Tags and LDFlags are flags of go build, beyond those that all modules share.
	Tags    string
	LDFlags string
	// Version is what the programs tell of themselves, and clients look for. It goes into VersionVars,
	// as the projects' own builds do it, and is that of the module's go.mod, as a test checks.
	Version     string
	VersionVars []string
}

// The modules, in order of time to build. Most are others' programs at the versions that the
// module's go.mod names.
var (
	Pause    = Module{Name: "pause", Packages: []string{"."}}
	Registry = Module{Name: "registry", Packages: []string{"github.com/distribution/distribution/v3/cmd/registry"}}
	BuildKit = Module{
		Name:        "buildkit",
		Packages:    []string{"github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"},
		Tags:        "no_containerd_worker",
		Version:     "v0.33.1",
		VersionVars: []string{"github.com/moby/buildkit/version.Version"},
	}
	Containerd = Module{
		Name: "containerd",
		Packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		},
		Tags:        "no_btrfs",
		Version:     "v2.4.2",
		VersionVars: []string{"github.com/containerd/containerd/v2/version.Version"},
	}
	Kwok = Module{Name: "kwok", Packages: []string{"."}}
	Kube = Module{
		Name:     "kube",
		Packages: []string{"."},
		Version:  "v1.36.3",
		VersionVars: []string{
			"k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion",
		},
		LDFlags: "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
	}
)

// ldflags are the linker flags of the module's programs.
func (m Module) ldflags() string {
	flags := []string{"-s", "-w"}
	for _, variable := range m.VersionVars {
		flags = append(flags, "-X", variable+"="+m.Version)
	}
	return strings.TrimSpace(strings.Join(flags, " ") + " " + m.LDFlags)
}

// Programs are the file names of the module's programs.
func (m Module) Programs() []string {
	names := make([]string, 0, len(m.Packages))
	for _, pkg := range m.Packages {
		if pkg == "." {
			pkg = m.Name
		}
		names = append(names, path.Base(pkg))
	}
	return names
}
