package component

import (
	"context"
	"fmt"
	"net/http"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/health"
)

// Registry is a distribution registry on plain HTTP. Manifests and blobs can be deleted.
func Registry(l *Layout) Component {
	config := l.path("registry", "config.yaml")
	return Component{
		Name:    "registry",
		Module:  build.Registry,
		Program: "registry",
		Args:    []string{"serve", config},
		Files:   map[string]string{config: registryConfig(l)},
		Ports:   []string{PortRegistry},
		Ready: func(ctx context.Context) error {
			return health.HTTP(ctx, http.DefaultClient, "http://"+l.Registry()+"/v2/")
		},
	}
}

// registryConfig has no cache of blob descriptors: one would go on serving what was deleted.
func registryConfig(l *Layout) string {
	return fmt.Sprintf(`version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
  redirect:
    disable: true
http:
  addr: %q
  secret: %q
`, l.path("registry", "data"), l.Registry(), l.Secret)
}
