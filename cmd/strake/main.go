// Strake takes source code to a running app on Kubernetes. See “strake help”.
package main

import (
	"os"

	"strake.dev/strake/cmd/strake/cli"
	"strake.dev/strake/plugins"
)

// version is set at link time: -ldflags "-X main.version=v1.2.3". Without it the version control's
// state that Go has recorded counts.
var version string

func main() {
	os.Exit(cli.Main(cli.Program{Version: version, Plugins: plugins.Builtin}))
}
