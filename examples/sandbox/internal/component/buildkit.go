package component

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/health"
)

// BuildKit is buildkitd with its own runc worker. It logs at debug level, so that its log shows
// whether a solve took place. Build steps use the host's network, where the registry is.
func BuildKit(l *Layout) Component {
	config := l.path("buildkit", "buildkitd.toml")
	return Component{
		Name:    "buildkitd",
		Module:  build.BuildKit,
		Program: "buildkitd",
		Args:    []string{"--config", config},
		Files:   map[string]string{config: buildkitConfig(l)},
		Ready:   func(ctx context.Context) error { return health.GRPC(ctx, l.BuildKitSocket()) },
	}
}

// buildkitConfig bounds the disk that build results may take: caches of sources and mounts go after
// two days, all else when they fill 10 GB.
func buildkitConfig(l *Layout) string {
	return fmt.Sprintf(`debug = true
root = %[1]q

[grpc]
  address = [%[2]q]

[otel]
  socketPath = %[3]q

[cdi]
  disabled = true

[worker.containerd]
  enabled = false

[worker.oci]
  enabled = true
  snapshotter = "overlayfs"
  binary = %[4]q
  networkMode = "host"
  defaultCgroupParent = %[5]q
  gc = true

  [[worker.oci.gcpolicy]]
    filters = ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"]
    keepDuration = "48h"
    maxUsedSpace = "2GB"

  [[worker.oci.gcpolicy]]
    all = true
    reservedSpace = "1GB"
    maxUsedSpace = "10GB"

[registry."docker.io"]
  mirrors = [%[6]q]

[registry.%[6]q]
  http = true
  insecure = true

[registry.%[7]q]
  mirrors = [%[6]q]
  http = true
  insecure = true

[registry.%[8]q]
  http = true
  insecure = true
`, l.path("buildkit", "data"), "unix://"+l.BuildKitSocket(), filepath.Join(l.Run, "otel.sock"),
		l.Runc, path.Join(l.Cgroup, "buildkit"), l.Registry(), l.PodRegistry(), l.HostPortRegistry())
}
