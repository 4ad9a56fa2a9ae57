// Package confine runs programs of others such that they reach nothing but what they are given.
//
// On Linux the confinement belongs to a thread, not to a process: [Start] takes a thread of its own, gives up on it
// whatever the program is not to have (privileges for good, the file system by Landlock, sockets by a seccomp
// filter; as root also capabilities and, in a mount namespace, writing), and starts the program from it, in a PID
// namespace. Then the thread ends. strake needn't be started a second time for it, which takes longer than most
// programs run.
//
// What a machine lacks of this is in [Process.Gaps]; with [Command.Required] it is an error instead.
package confine
