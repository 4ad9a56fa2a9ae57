package kapp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// whyTimeout is how long finding out more about a failure may take.
	whyTimeout = 5 * time.Second
	// whyPods is how many pods are told about; the others usually have the same trouble.
	whyPods = 2
	// whyLines is how many of the last lines of a container's log are told.
	whyLines = 10
)

// why looks at the pods behind a workload for the reason of its trouble. It returns a text to add to
// an error, and an empty one if there is nothing to tell or it may not be read.
func (s *session) why(o object) string {
	ctx, cancel := context.WithTimeout(s.ctx, whyTimeout)
	defer cancel()
	var b strings.Builder
	told := 0
	for _, pod := range s.podsOf(ctx, o) {
		if reason := s.troubleOf(ctx, &pod); reason != "" && told < whyPods {
			fmt.Fprintf(&b, "\n  pod %s: %s", pod.Name, reason)
			told++
		}
	}
	return b.String()
}

// podsOf lists the pods of a workload, the newest first.
func (s *session) podsOf(ctx context.Context, o object) []corev1.Pod {
	var (
		selector *metav1.LabelSelector
		apps     = s.clients.core.AppsV1()
		get      = metav1.GetOptions{}
	)
	switch o.kind {
	case "deployment":
		if d, err := apps.Deployments(o.namespace).Get(ctx, o.name, get); err == nil {
			selector = d.Spec.Selector
		}
	case "statefulset":
		if d, err := apps.StatefulSets(o.namespace).Get(ctx, o.name, get); err == nil {
			selector = d.Spec.Selector
		}
	case "daemonset":
		if d, err := apps.DaemonSets(o.namespace).Get(ctx, o.name, get); err == nil {
			selector = d.Spec.Selector
		}
	case "job":
		if d, err := s.clients.core.BatchV1().Jobs(o.namespace).Get(ctx, o.name, get); err == nil {
			selector = d.Spec.Selector
		}
	case "pod":
		if p, err := s.clients.core.CoreV1().Pods(o.namespace).Get(ctx, o.name, get); err == nil {
			return []corev1.Pod{*p}
		}
	}
	if selector == nil {
		return nil
	}
	pods, err := s.clients.core.CoreV1().Pods(o.namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)})
	if err != nil {
		return nil
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return pods.Items
}

// troubleOf tells what is wrong with a pod; empty if it is well.
func (s *session) troubleOf(ctx context.Context, pod *corev1.Pod) string {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		crash := c.State.Terminated
		if crash == nil {
			crash = c.LastTerminationState.Terminated
		}
		switch w := c.State.Waiting; {
		case crash != nil && crash.ExitCode != 0 && !c.Ready:
			text := fmt.Sprintf("container %s ended with exit code %d (%s)", c.Name, crash.ExitCode, crash.Reason)
			if c.RestartCount > 0 {
				text += fmt.Sprintf(", restarted %d times", c.RestartCount)
			}
			return text + s.lastLines(ctx, pod, c)
		case w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing":
			return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, w.Reason, w.Message), ": ")
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("not scheduled: %s", c.Message)
		}
		if c.Type == corev1.ContainersReady && c.Status == corev1.ConditionFalse && pod.Status.Phase == corev1.PodRunning {
			return c.Message
		}
	}
	return ""
}

// lastLines are the last lines of the log of a container that has crashed.
func (s *session) lastLines(ctx context.Context, pod *corev1.Pod, c corev1.ContainerStatus) string {
	tail := int64(whyLines)
	log, err := s.clients.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: c.Name, TailLines: &tail, Previous: c.State.Terminated == nil,
	}).DoRaw(ctx)
	if err != nil || len(bytes.TrimSpace(log)) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("; its last lines:")
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		b.WriteString("\n    | " + plain(lines.Text()))
	}
	return b.String()
}
