package component

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/health"
	"strake.dev/strake/examples/sandbox/internal/images"
)

// CNIPrograms is where Debian's containernetworking-plugins puts its programs.
const CNIPrograms = "/usr/lib/cni"

// Containerd runs the containers of pods.
func Containerd(l *Layout) Component {
	config := l.path("containerd", "config.toml")
	hosts := l.path("containerd", "certs.d")
	mirror := hostsFile("http://" + l.Registry())
	return Component{
		Name:    "containerd",
		Module:  build.Containerd,
		Program: "containerd",
		Args:    []string{"--config", config},
		Files: map[string]string{
			config: containerdConfig(l, hosts),
			filepath.Join(hosts, "docker.io", "hosts.toml"):           "server = \"https://registry-1.docker.io\"\n\n" + mirror,
			filepath.Join(hosts, l.Registry(), "hosts.toml"):          mirror,
			filepath.Join(hosts, l.PodRegistry(), "hosts.toml"):       mirror,
			filepath.Join(hosts, l.HostPortRegistry(), "hosts.toml"):  hostsFile("http://" + l.HostPortRegistry()),
			l.path("containerd", "cni", "10-strake-sandbox.conflist"): cniConfig(l),
		},
		Ready: func(ctx context.Context) error { return health.GRPC(ctx, l.containerdSocket()) },
	}
}

func (l *Layout) containerdSocket() string { return filepath.Join(l.Run, "containerd.sock") }

// hostsFile leads what is pulled from a registry to the one at url.
func hostsFile(url string) string {
	return fmt.Sprintf("[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url)
}

// containerdConfig keeps everything below the instance's folders: containerd's defaults for sockets
// of shims, state of runc, network namespaces, plugins and the node resource interface are shared by
// all containerds of a machine. Processes keep their parent's readiness to be killed when memory is short, as
// lowering it is not allowed everywhere.
func containerdConfig(l *Layout, hosts string) string {
	return fmt.Sprintf(`version = 3
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri",
]

[grpc]
  address = %[3]q

[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q

[plugins."io.containerd.shim.v1.manager"]
  socket_dir = %[5]q

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = %[6]q
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = %[7]q

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%[8]q]
    conf_dir = %[9]q
    use_internal_loopback = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = %[10]q
        Root = %[11]q
        SystemdCgroup = false
`, l.path("containerd", "data"), filepath.Join(l.Run, "containerd"), l.containerdSocket(),
		l.path("containerd", "opt"), filepath.Join(l.Run, "s"),
		path.Join(l.Registry(), images.PauseRepository)+":"+images.PauseTag,
		hosts, CNIPrograms, l.path("containerd", "cni"), l.Runc, filepath.Join(l.Run, "runc"))
}

// cniConfig puts pods on the instance's bridge. The bridge's own rules let them out. Only host ports
// have rules for each pod, which lead to it what is sent to the node's own address: other instances
// may use the same ports.
func cniConfig(l *Layout) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": %[1]q,
  "plugins": [{
    "type": "bridge",
    "bridge": %[2]q,
    "isGateway": true,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "dataDir": %[3]q,
      "ranges": [[{"subnet": %[4]q, "gateway": %[5]q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }, {
    "type": "portmap",
    "capabilities": {"portMappings": true},
    "conditionsV4": ["-d", "%[5]s/32"]
  }]
}
`, l.Network, l.Bridge, l.IPAM(), l.Pods, l.Gateway)
}

// IPAM is where the addresses given to pods are on record.
func (l *Layout) IPAM() string { return l.path("containerd", "ipam") }
