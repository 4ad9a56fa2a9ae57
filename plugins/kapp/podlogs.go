package kapp

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"carvel.dev/kapp/pkg/kapp/logger"
	ctllogs "carvel.dev/kapp/pkg/kapp/logs"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	"github.com/cppforlife/go-cli-ui/ui"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"strake.dev/strake/stages"
)

// Annotations with which kapp is asked to show the logs of pods while it waits.
const (
	logsKey           = "kapp.k14s.io/deploy-logs"
	logsContainersKey = "kapp.k14s.io/deploy-logs-container-names"
)

// followLogs shows the logs of the pods that ask for it, or of all if the options do, until the returned
// function is called.
func (s *session) followLogs(d *rollout) (stop func()) {
	f := s.flags.deploy.DeployFlags
	if !f.Logs || !s.flags.set.Changed("logs") && !s.flags.set.Changed("logs-all") && !bytes.Contains(s.job.Manifests, []byte(logsKey)) {
		return func() {}
	}
	client := podClient{s.clients.core, s.events}
	before := map[string]bool{}
	for _, ns := range append([]string{""}, s.namespaces(d.meta, d.want)...) {
		list, err := s.clients.core.CoreV1().Pods(ns).List(s.ctx, metav1.ListOptions{LabelSelector: selector(d.meta).String()})
		if err != nil {
			continue
		}
		for i := range list.Items {
			before[string(list.Items[i].UID)] = true
		}
		if ns == "" {
			break
		}
	}
	id := ctlres.NewIdentifiedResources(client, s.clients.types, s.objects, []string{s.target.objects}, logger.NewNoopLogger())
	pods := ctlres.FilteringPodWatcher{
		MatcherFunc: func(pod *corev1.Pod) bool { return f.LogsAll || asksForLogs(pod, before[string(pod.UID)]) },
		Watcher:     id.PodResources(selector(d.meta), s.namespaces(d.meta, d.want)),
	}
	containers := func(pod corev1.Pod) []string {
		if names := pod.Annotations[logsContainersKey]; names != "" {
			return strings.Split(names, ",")
		}
		return nil
	}
	lines := &eventLines{events: s.events}
	opts := ctllogs.PodLogOpts{Follow: true, ContainerTag: true, LinePrefix: "logs"}
	done := make(chan struct{})
	go func() {
		_ = guarded(func() error {
			return ctllogs.NewView(opts, pods, containers, client, ui.NewWriterUI(lines, lines, ui.NewNoopLogger())).Show(done)
		})
	}()
	return func() {
		// What the pods have said by now is still on its way.
		select {
		case <-s.ctx.Done():
		case <-time.After(lastLogs):
		}
		close(done)
		lines.close()
	}
}

// lastLogs is how long logs are shown after the last change is done.
const lastLogs = 2 * time.Second

// asksForLogs tells whether a pod's annotation wants its logs to be shown; before says that the pod was
// there before the deploy.
func asksForLogs(pod *corev1.Pod, before bool) bool {
	switch when, ok := pod.Annotations[logsKey]; when {
	case "", "for-new":
		return ok && !before
	case "for-existing":
		return before
	case "for-new-or-existing":
		return true
	}
	return false
}

// eventLines tells each line that is written to it as an event, until it is closed: parts of kapp's
// library run on for a moment after that.
type eventLines struct {
	events stages.Observer
	mu     sync.Mutex
	rest   string
	closed bool
}

func (w *eventLines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest += string(p)
	for {
		line, rest, ok := strings.Cut(w.rest, "\n")
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		if line = strings.TrimSpace(plain(line)); line != "" && !w.closed {
			stages.Log(w.events, line)
		}
	}
}

func (w *eventLines) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
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
