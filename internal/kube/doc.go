// Package kube is how strake reaches Kubernetes clusters: it finds the kubeconfig as kubectl does,
// takes on other identities (a service account, a kubeconfig from a Secret), binds every request to
// a context, and says in words of the user what is wrong when a cluster can't be reached.
//
// A [Cluster] costs nothing until it is used: making one reads no file and opens no connection, so
// that a run without a deploy step needs no cluster.
package kube
