// Package exec runs plugins that are executables, as steps “exec: {plugin: NAME, with: {…}}” of all stages.
//
// An executable speaks [strake.dev/strake/stages/protocol] on its standard input and output. It is run only if the
// user allows it, only as the one that the lock pins, and confined to the areas of its step; docs/plugins.md says
// how far. [strake.dev/strake/stages/plugin] makes such executables in Go.
package exec
