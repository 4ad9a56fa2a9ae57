// Package plugins lists the plugins that strake is built with, in plain sight: [Builtin] calls their
// constructors, and nothing registers itself on import.
//
// A strake with one more plugin is a main.go that adds it to the list:
//
//	func main() {
//		os.Exit(cli.Main(cli.Program{
//			Version: "v1.0.0-ours",
//			Plugins: func(deps plugins.Deps) []stages.Plugin {
//				return append(plugins.Builtin(deps), ours.Plugin())
//			},
//		}))
//	}
package plugins
