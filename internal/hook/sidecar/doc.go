// Package sidecar holds the tests that call strake in the way of kapp-controller's sidecar: by the names
// of its tools, in the folder /, with the files of Apps in work folders, and ytt's output as kbld's input.
package sidecar
