// Package lease lets only one deployer at a time change an app. The lock is a Lease of
// coordination.k8s.io in the app's cluster, as controllers use it to choose a leader: it names its
// holder, who renews it, and it passes to another one when it hasn't been renewed for a while, so that
// a deployer that was killed locks nobody out.
//
// An uncontended lock costs two requests: one to create it, one to delete it.
package lease
