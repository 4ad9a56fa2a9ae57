package kube

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Quiet turns off what client-go writes to standard error by itself, such as that a cancelled request
// failed: everything worth knowing is in errors and events. It is for main, once and before anything
// else, because the setting is the whole program's.
func Quiet() {
	klog.SetLogger(logr.Discard())
	// Otherwise it complains after half a minute that nobody has done this.
	log.SetLogger(logr.Discard())
}
