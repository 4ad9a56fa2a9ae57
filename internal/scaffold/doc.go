// Package scaffold writes a first App for a folder, from what it finds there: what images are built from, and
// what describes the objects to deploy.
package scaffold
