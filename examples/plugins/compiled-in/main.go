// Strake-ours is a strake with one more plugin.
package main

import (
	"os"

	"strake.dev/strake/cmd/strake/cli"
	"strake.dev/strake/plugins"
	"strake.dev/strake/stages"

	"example.com/strake-ours/ours"
)

func main() {
	os.Exit(cli.Main(cli.Program{Version: "v1.0.0-ours", Plugins: func(deps plugins.Deps) []stages.Plugin {
		return append(plugins.Builtin(deps), ours.Plugin())
	}}))
}
