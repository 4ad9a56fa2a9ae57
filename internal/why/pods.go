package why

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// maxPods is how many pods are told about; the others usually have the same trouble.
	maxPods = 2
	// maxLines is how many of the last lines of a container's log are told.
	maxLines = 10
)

// workloads are the groups and kinds whose spec.selector names pods.
var workloads = []string{"apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job"}

// podsOf lists the pods of a workload, the newest first.
func (a asker) podsOf(o *unstructured.Unstructured) []corev1.Pod {
	kind := o.GroupVersionKind().GroupKind()
	if kind.Group == "" && kind.Kind == "Pod" {
		var pod corev1.Pod
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &pod) != nil {
			return nil
		}
		return []corev1.Pod{pod}
	}
	raw, found, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if !slices.Contains(workloads, kind.Group+"/"+kind.Kind) || !found || err != nil {
		return nil
	}
	var selector metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &selector) != nil {
		return nil
	}
	pods, err := a.core.CoreV1().Pods(o.GetNamespace()).List(a.ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&selector)})
	if err != nil {
		return nil
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return pods.Items
}

// pod tells what is wrong with a pod; nothing if it is well.
func (a asker) pod(pod *corev1.Pod) []string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	reason, events := a.reason(pod), a.events(pod.Namespace, pod.UID)
	switch {
	case reason == "" && len(events) == 0:
		return nil
	case reason == "":
		reason = "is " + strings.ToLower(string(pod.Status.Phase))
	}
	lines := []string{"pod " + pod.Name + ": " + reason}
	for _, e := range events {
		lines = append(lines, "pod "+pod.Name+": "+e)
	}
	return lines
}

// reason tells what a pod's own status says of its trouble.
func (a asker) reason(pod *corev1.Pod) string {
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
			return text + a.lastLines(pod, c)
		case w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing":
			return strings.TrimSuffix(fmt.Sprintf("container %s: %s: %s", c.Name, w.Reason, flat(w.Message)), ": ")
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "not scheduled: " + flat(c.Message)
		}
		if c.Type == corev1.ContainersReady && c.Status == corev1.ConditionFalse && pod.Status.Phase == corev1.PodRunning {
			return flat(c.Message)
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return strings.Trim("failed: "+pod.Status.Reason+": "+flat(pod.Status.Message), ": ")
	}
	return ""
}

// lastLines are the last lines of the log of a container that has crashed.
func (a asker) lastLines(pod *corev1.Pod, c corev1.ContainerStatus) string {
	tail := int64(maxLines)
	log, err := a.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: c.Name, TailLines: &tail, Previous: c.State.Terminated == nil,
	}).DoRaw(a.ctx)
	if err != nil || len(bytes.TrimSpace(log)) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("; its last lines:")
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		b.WriteString("\n    | " + escapes().ReplaceAllString(lines.Text(), ""))
	}
	return b.String()
}

// escapes are the colours and other commands to a terminal in a text.
var escapes = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]") })
