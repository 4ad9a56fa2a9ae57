// Package kbld is strake under the name kbld. The command tree, its flags, its help and all commands
// but the first are the library's own. What is ours is the command without a name, which resolves
// images: sources are built with BuildKit, and registries are asked through strake's client. It reads,
// prints and writes what kbld would, in kbld's words where kbld has some.
package kbld
