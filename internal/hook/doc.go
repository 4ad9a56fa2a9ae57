// Package hook lets a kbld that kapp-controller calls build from source, within what the operator of
// the cluster allows.
//
// kapp-controller has “kbld -f - --build=false” run in a container that Apps of all tenants share, and
// tells it neither which App it is for nor where that App's files are. Three things make a build there
// safe:
//
//   - A [Policy], which only the container's environment can name, says that there may be builds at all,
//     where images may be pushed, and within which limits. Nothing that an App says widens it.
//   - A [Stamp] says in which folder a Config was rendered. ytt, which is told absolute paths, makes it
//     with a [Key] that no App can read; kbld takes no other.
//   - [Turns] let equal builds of several processes run once, and not too many at all.
package hook
