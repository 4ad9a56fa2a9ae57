// Package why finds out the reason of an object's trouble: why it doesn't become ready, or doesn't go
// away. It looks where somebody with kubectl would look: at the object's conditions, at the pods
// behind it, at the recent events of both, and at the last lines of a container that has crashed.
//
// It only reads, takes a few seconds at most, and says nothing about what may not be read.
package why

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
)

// patience is how long finding out may take.
const patience = 5 * time.Second

// Trouble tells what is wrong with an object as it is in the cluster, as lines to add to an error,
// each after a line break and indented. It is empty if there is nothing to tell.
func Trouble(ctx context.Context, core kubernetes.Interface, o *unstructured.Unstructured) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := asker{ctx: ctx, core: core}
	lines := deletion(o)
	pods, told := a.podsOf(o), 0
	for i := range pods {
		if found := a.pod(&pods[i]); len(found) > 0 && told < maxPods {
			lines = append(lines, found...)
			told++
		}
	}
	lines = append(lines, conditions(o)...)
	lines = append(lines, a.events(o.GetNamespace(), o.GetUID())...)
	var b strings.Builder
	seen := map[string]bool{}
	for _, line := range lines {
		if !seen[line] {
			seen[line] = true
			b.WriteString("\n  " + line)
		}
	}
	return b.String()
}

// An asker looks around for one object.
type asker struct {
	// ctx ends all of the looking around.
	ctx  context.Context
	core kubernetes.Interface
}

// deletion tells what keeps an object that is to go.
func deletion(o *unstructured.Unstructured) []string {
	since := o.GetDeletionTimestamp()
	if since == nil {
		return nil
	}
	line := "being deleted since " + since.UTC().Format(time.RFC3339)
	if f := o.GetFinalizers(); len(f) > 0 {
		line += ", kept by finalizers: " + strings.Join(f, ", ")
	}
	return []string{line}
}

// bad are conditions that tell of trouble by being true. All others do by being false.
var bad = []string{
	"Failed", "FailureTarget", "ReplicaFailure", "Stalled", "Degraded", "Dangling", "NonStructuralSchema",
	"NamespaceDeletionDiscoveryFailure", "NamespaceDeletionGroupVersionParsingFailure",
	"NamespaceDeletionContentFailure", "NamespaceContentRemaining", "NamespaceFinalizersRemaining",
	"DisruptionTarget",
}

// usual are conditions of Kubernetes' own types that are false also when all is well, or that say what
// is told about pods anyway.
var usual = []string{
	"Suspended", "Complete", "SuccessCriteriaMet", "ScalingLimited", "PodReadyToStartContainers", "Initialized", "Ready",
	"ContainersReady", "FileSystemResizePending", "Resizing", "PodScheduled",
}

// conditions tells those of an object that say that something is wrong.
func conditions(o *unstructured.Unstructured) []string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	group := o.GroupVersionKind().Group
	own := !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
	var lines []string
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok {
			continue
		}
		kind, status, reason, message := text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message")
		trouble := status == "False" && (!own || !slices.Contains(usual, kind)) && reason+message != ""
		if slices.Contains(bad, kind) {
			trouble = status == "True"
		}
		if !trouble {
			continue
		}
		parts := []string{fmt.Sprintf("condition %s is %s", kind, status), reason, message}
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
		lines = append(lines, strings.Join(parts, ": "))
	}
	return lines
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return flat(s)
}

// flat puts a text into one line without control characters.
func flat(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, escapes().ReplaceAllString(s, ""))
	return strings.Join(strings.Fields(s), " ")
}
