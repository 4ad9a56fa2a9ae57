package sandbox

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"strake.dev/strake/examples/sandbox/internal/cgroup"
)

// Some programs write to places that can't be chosen, and that everything on a machine shares. What
// is found there is removed only if it is surely this instance's.
const (
	cniResults    = "/var/lib/cni/results"            // of the CNI library, by network's name
	containerLogs = "/var/log/containers"             // kubelet's links to logs
	devicePlugins = "/var/lib/kubelet/device-plugins" // kubelet's socket for device plugins
	runcState     = "/run/runc"                       // of the containers of buildkitd, by id
)

// removeLeftovers removes what the instance has in shared places. It comes before the removal of the
// control group, which knows the ids of buildkitd's containers.
func (s *Sandbox) removeLeftovers() error {
	builds, err := cgroup.Children(s.cgroup() + "/buildkit")
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range builds {
		errs = append(errs, os.RemoveAll(filepath.Join(runcState, id)))
	}
	errs = append(
		errs,
		removeMatching(filepath.Join(cniResults, s.networkName()+"-*"), func(string) bool { return true }),
		removeMatching(filepath.Join(containerLogs, "*"), s.ownsLink),
		removeDevicePlugins(),
	)
	for _, dir := range []string{cniResults, filepath.Dir(cniResults), containerLogs, devicePlugins, filepath.Dir(devicePlugins)} {
		// Others may use it, so it goes only if it is empty.
		_ = os.Remove(dir)
	}
	return errors.Join(errs...)
}

// removeDevicePlugins removes what a sandbox's kubelet left in the one place that all kubelets share,
// unless one still listens there, or the machine has a kubelet of its own.
func removeDevicePlugins() error {
	entries, err := os.ReadDir(filepath.Dir(devicePlugins))
	if errors.Is(err, fs.ErrNotExist) || len(entries) > 1 {
		return nil
	}
	if err != nil {
		return err
	}
	socket := filepath.Join(devicePlugins, "kubelet.sock")
	if conn, err := net.Dial("unix", socket); err == nil {
		return conn.Close()
	}
	var errs []error
	for _, name := range []string{"kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"} {
		if err := os.Remove(filepath.Join(devicePlugins, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ownsLink tells whether the path is a symbolic link into the instance's folder.
func (s *Sandbox) ownsLink(path string) bool {
	target, err := os.Readlink(path)
	return err == nil && strings.HasPrefix(target, s.Dir+string(filepath.Separator))
}

// removeMatching removes the files that the pattern and the condition are true of.
func removeMatching(pattern string, condition func(path string) bool) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if condition(path) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}
