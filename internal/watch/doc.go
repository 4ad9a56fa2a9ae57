// Package watch tells which files of this machine change. It sees new folders below those that are watched,
// files that editors replace by a new one of the same name, and paths that don't exist yet or that are links,
// gathers what changes at the same time, and leaves out what editors and version control write for themselves.
// Where the system can't tell, it looks from time to time.
package watch
