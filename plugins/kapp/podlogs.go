package kapp

import (
	"bytes"
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"strake.dev/strake/stages"
)

// logsAnnotation asks kapp to show the logs of new pods while it waits.
const logsAnnotation = "kapp.k14s.io/deploy-logs"

// followLogs leaves following logs on only where it is asked for: kapp's library lists and watches
// the pods of all namespaces for it, on every deploy.
func (f *flags) followLogs(m stages.Manifests) {
	asked := f.set.Changed("logs") || f.set.Changed("logs-all") || bytes.Contains(m, []byte(logsAnnotation))
	f.deploy.DeployFlags.Logs = f.deploy.DeployFlags.Logs && asked
}

// A podClient is a client whose pods can be followed without harm: kapp's library prints to standard
// output when that fails, so here it never fails but for the first try in all namespaces, after which
// the library tries single ones.
type podClient struct {
	kubernetes.Interface
	events stages.Observer
}

func (c podClient) CoreV1() typed.CoreV1Interface { return podCore{c.Interface.CoreV1(), c.events} }

type podCore struct {
	typed.CoreV1Interface
	events stages.Observer
}

func (c podCore) Pods(namespace string) typed.PodInterface {
	return pods{c.CoreV1Interface.Pods(namespace), namespace, c.events}
}

type pods struct {
	typed.PodInterface
	namespace string
	events    stages.Observer
}

func (p pods) List(ctx context.Context, opts metav1.ListOptions) (*corev1.PodList, error) {
	list, err := p.PodInterface.List(ctx, opts)
	if err == nil || apierrors.IsForbidden(err) && p.namespace == "" {
		return list, err
	}
	stages.Warn(p.events, "logs of pods can't be shown: "+err.Error())
	return &corev1.PodList{}, nil
}

func (p pods) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	w, err := p.PodInterface.Watch(ctx, opts)
	if err != nil {
		stages.Warn(p.events, "logs of new pods can't be shown: "+err.Error())
		return silence{}, nil
	}
	return w, nil
}

// silence is a watch in which nothing happens.
type silence struct{}

func (silence) Stop()                          {}
func (silence) ResultChan() <-chan watch.Event { return nil }
