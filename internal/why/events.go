package why

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxEvents is how many of an object's events are told, the latest ones.
	maxEvents = 3
	// recent is how old an event may be: older ones tell of trouble that is over.
	recent = 15 * time.Minute
)

// retold are reasons of events that say only what the state of a container says as well, or that are about
// how the node is set up and keep no pod from running.
var retold = []string{"BackOff", "Failed", "FailedScheduling", "MissingClusterDNS"}

// events tells the recent warnings about an object. One in other words than before but with the same
// reason stands for the earlier ones.
func (a asker) events(namespace string, uid types.UID) []string {
	if uid == "" {
		return nil
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault // where events of cluster-wide objects are
	}
	list, err := a.core.CoreV1().Events(namespace).List(a.ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"involvedObject.uid": string(uid), "type": corev1.EventTypeWarning,
	}.String()})
	if err != nil {
		return nil
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return last(&b).Compare(last(&a)) })
	var lines []string
	seen := map[string]bool{}
	for i := range list.Items {
		e := &list.Items[i]
		if seen[e.Reason] || slices.Contains(retold, e.Reason) || time.Since(last(e)) > recent || len(lines) == maxEvents {
			continue
		}
		seen[e.Reason] = true
		line := "event " + e.Reason
		if n := times(e); n > 1 {
			line += fmt.Sprintf(" (%d times)", n)
		}
		lines = append(lines, line+": "+flat(e.Message))
	}
	return lines
}

// last is when an event was last seen. Which field says so depends on the reporter's age.
func last(e *corev1.Event) time.Time {
	latest := e.CreationTimestamp.Time
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time} {
		if t.After(latest) {
			latest = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest) {
		latest = e.Series.LastObservedTime.Time
	}
	return latest
}

func times(e *corev1.Event) int32 {
	if e.Series != nil {
		return max(e.Count, e.Series.Count)
	}
	return e.Count
}
