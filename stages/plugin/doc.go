// Package plugin makes an executable plugin of Go functions: a main.go is a call of [Serve].
//
//	func main() {
//		plugin.Serve(plugin.Plugin{
//			Name: "upper", Version: "v1.0.0",
//			Template: func(ctx context.Context, r *plugin.Request) (plugin.Result, error) {
//				manifests, err := r.ReadManifests()
//				if err != nil {
//					return plugin.Result{}, err
//				}
//				return r.WriteManifests(bytes.ToUpper(manifests))
//			},
//		})
//	}
//
// Installed as strake-plugin-upper on PATH it is the step “exec: {plugin: upper}”, for those who allow it with
// --allow-plugin upper. “strake plugins test ./strake-plugin-upper” tells whether it keeps the protocol. The
// package depends on nothing but the standard library and [strake.dev/strake/stages/protocol].
package plugin
