package follow

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Logs are those of an app's pods: of all containers, each time that they are started.
type Logs struct {
	ctx    context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	client kubernetes.Interface
	since  time.Time
	line   func(pod *core.Pod, container, line string)
	warn   func(error)
	pods   *Pods

	mu       sync.Mutex
	followed map[instance]bool
}

// An instance is a container as it was started once.
type instance struct {
	pod       types.UID
	container string
	restarts  int32
}

// NewLogs follows what pods log from a time on; line is told each line, of which nothing is cleaned, in the order
// in which a container has written it. The caller calls Pods, and Close.
func NewLogs(ctx context.Context, client kubernetes.Interface, since time.Time, line func(pod *core.Pod, container, line string), warn func(error)) *Logs {
	ctx, end := context.WithCancel(ctx)
	l := &Logs{ctx: ctx, end: end, client: client, since: since, line: line, warn: warn, followed: map[instance]bool{}}
	l.pods = NewPods(ctx, client, l.see, warn)
	return l
}

// Pods are the pods whose logs are followed.
func (l *Logs) Pods() *Pods { return l.pods }

// Close ends all of it.
func (l *Logs) Close() {
	l.end()
	l.pods.Close()
	l.work.Wait()
}

// see follows those containers of a pod that have been started and aren't followed yet.
func (l *Logs) see(pod *core.Pod) {
	if l.ctx.Err() != nil {
		return
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if !started(s) {
			continue
		}
		i := instance{pod.UID, s.Name, s.RestartCount}
		l.mu.Lock()
		again := l.followed[i]
		l.followed[i] = true
		l.mu.Unlock()
		if !again {
			l.work.Go(func() { l.follow(pod, i) })
		}
	}
}

// started tells whether a container has a log.
func started(s core.ContainerStatus) bool {
	return s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
}

// again is how long a log that has broken off isn't asked for.
const again = time.Second

// follow tells the lines of a container until it ends.
func (l *Logs) follow(pod *core.Pod, i instance) {
	for since := l.since; ; since = time.Now() {
		err := l.stream(pod, i.container, since)
		if l.ctx.Err() != nil {
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(again):
		}
		if now := l.pods.Get(pod.Namespace, pod.Name); !running(now, i) {
			return
		}
		if err != nil {
			l.warn(fmt.Errorf("log of container %s of pod %s/%s: %w", i.container, pod.Namespace, pod.Name, err))
			return
		}
	}
}

// running tells whether a container still is the same as it was, and runs.
func running(pod *core.Pod, i instance) bool {
	return pod != nil && pod.UID == i.pod && slices.ContainsFunc(slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses), func(s core.ContainerStatus) bool {
		return s.Name == i.container && s.RestartCount == i.restarts && s.State.Running != nil
	})
}

// maxLine is the most that is told of a line, in bytes.
const maxLine = 16 << 10

// stream tells the lines of a container from a time on until it ends or the connection does.
func (l *Logs) stream(pod *core.Pod, container string, since time.Time) error {
	body, err := l.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &core.PodLogOptions{
		Container: container, Follow: true, SinceTime: &metav1.Time{Time: since},
	}).Stream(l.ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	in := bufio.NewReaderSize(body, maxLine)
	for {
		text, rest, err := in.ReadLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		l.line(pod, container, string(text))
		for rest && err == nil { // the line is longer
			_, rest, err = in.ReadLine()
		}
	}
}
