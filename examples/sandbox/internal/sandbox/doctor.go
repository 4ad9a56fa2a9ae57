package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/images"
)

// A need is something of the machine that the sandbox uses.
type need struct {
	what string
	pkg  string // Debian's name of the package that has it
	met  func() bool
}

// needs lists what an instance with that kind of node uses.
func needs(node string, root bool) []need {
	list := []need{{"a statically linked busybox", "busybox-static", func() bool { return busybox() != "" }}}
	if root {
		list = append(list, need{"runc", "runc", inPath("runc")})
	}
	if node == NodeReal {
		list = append(
			list,
			need{"iptables", "iptables", inPath("iptables")},
			need{"ip", "iproute2", inPath("ip")},
			need{filepath.Join(component.CNIPrograms, "bridge"), "containernetworking-plugins", cniPlugins},
		)
	}
	return list
}

// Doctor returns an error that names all that is missing for that kind of node, and how to get it.
func Doctor(node string) error {
	root := os.Geteuid() == 0
	if node == NodeReal && !root {
		return errors.New("a real node needs root: run as root, or use --node=kwok")
	}
	var missing, packages []string
	for _, n := range needs(node, root) {
		if !n.met() {
			missing = append(missing, n.what)
			packages = append(packages, n.pkg)
		}
	}
	if _, err := exec.LookPath("go"); err != nil {
		missing = append(missing, "go")
		packages = append(packages, "golang")
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("missing on this machine: %s\non Debian, run: apt-get install -y %s", strings.Join(missing, ", "), strings.Join(packages, " "))
}

// cniPlugins tells whether the plugins are there that pods' networks are set up with.
func cniPlugins() bool {
	for _, name := range []string{"bridge", "host-local", "portmap"} {
		if _, err := os.Stat(filepath.Join(component.CNIPrograms, name)); err != nil {
			return false
		}
	}
	return true
}

func inPath(program string) func() bool {
	return func() bool {
		_, err := exec.LookPath(program)
		return err == nil
	}
}

// busybox returns the path of a busybox that needs no libraries, or nothing.
func busybox() string {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return ""
	}
	if static, err := images.Static(path); err != nil || !static {
		return ""
	}
	return path
}
