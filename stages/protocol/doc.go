// Package protocol is how strake talks with a plugin that is an executable: one JSON object a line, of strake on
// the plugin's standard input, of the plugin on its standard output.
//
//	strake  {"hello":{"protocols":["strake.dev/plugin/v1"],"strake":"strake v1.0.0"}}
//	plugin  {"hello":{"protocol":"strake.dev/plugin/v1","name":"upper","version":"v1.0.0","stages":["template"]}}
//	strake  {"request":{"op":"run","stage":"template","config":{…},"manifests":"/…/manifests.yaml","areas":{…},…}}
//	plugin  {"event":{"type":"log","message":"3 objects"}}
//	plugin  {"result":{"manifests":"manifests.yaml"}}
//
// An executable is started for each request. It says hello, answers with any number of events, and ends with one
// result or one error and the exit code 0; what it prints to standard error is logged. Anything else is an error
// that names the plugin. Fields that a plugin doesn't know are to be ignored: later versions of strake may send more.
//
// [strake.dev/strake/stages/plugin] does all of this for plugins in Go. The package depends on nothing but the
// standard library.
package protocol
