// Package live tells what a cluster has of an app's objects, at the least cost: their metadata in one
// request per kind, whether they are still as they were left, and what happens to them while somebody
// waits.
package live
