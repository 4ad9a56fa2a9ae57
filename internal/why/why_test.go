package why

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: x, uid: d}
spec: {selector: {matchLabels: {app: web}}}
`

func event(uid, reason, message string, age time.Duration) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: uid + reason}, InvolvedObject: corev1.ObjectReference{UID: "uid"},
		Reason: reason, Message: message, Type: corev1.EventTypeWarning, Count: 2, LastTimestamp: metav1.NewTime(time.Now().Add(-age)),
	}
}

func pod(name string, age time.Duration, status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "x", Labels: map[string]string{"app": "web"}, CreationTimestamp: metav1.NewTime(time.Now().Add(-age)),
	}, Status: status}
}

func TestTrouble(t *testing.T) {
	crashed := corev1.ContainerStatus{
		Name: "main", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7, Reason: "Error"}},
	}
	for name, c := range map[string]struct {
		object string
		have   []runtime.Object
		want   []string
	}{
		"healthy": {object: deployment, have: []runtime.Object{
			pod("a", 0, corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}),
		}},
		"crash": {object: deployment, have: []runtime.Object{
			pod("old", time.Hour, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{crashed}}),
			pod("older", 2*time.Hour, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{crashed}}),
			pod("new", 0, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no\nsuch \x1b[31mimage\x1b[0m"}},
			}}}),
		}, want: []string{
			"pod new: container main: ErrImagePull: no such image",
			"pod old: container main ended with exit code 7 (Error), restarted 3 times; its last lines:", "  | fake logs",
		}},
		"unscheduled": {object: deployment, have: []runtime.Object{
			pod("a", 0, corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes"}}}),
		}, want: []string{"pod a: not scheduled: 0/1 nodes"}},
		"quota": {object: deployment + `
status:
  conditions:
  - {type: ReplicaFailure, status: "True", reason: FailedCreate, message: "exceeded quota"}
  - {type: Progressing, status: "True", reason: NewReplicaSet, message: fine}
`, want: []string{"condition ReplicaFailure is True: FailedCreate: exceeded quota"}},
		"custom resource": {object: `
apiVersion: example.com/v1
kind: Database
metadata: {name: db, namespace: x}
status: {conditions: [{type: Ready, status: "False", reason: NoDisk, message: "no disk\n left"}, {type: Other, status: Unknown}, odd]}
`, want: []string{"condition Ready is False: NoDisk: no disk left"}},
		"kept": {object: `
apiVersion: v1
kind: ConfigMap
metadata: {name: m, namespace: x, deletionTimestamp: "2026-01-02T03:04:05Z", finalizers: [example.com/a, b]}
`, want: []string{"being deleted since 2026-01-02T03:04:05Z, kept by finalizers: example.com/a, b"}},
		"events": {object: "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x, uid: uid}}", have: []runtime.Object{
			event("1", "SyncFailed", "no\naddress", time.Minute), event("2", "Old", "over", time.Hour),
			event("3", "BackOff", "as told elsewhere", 0), event("4", "First", "first", 0),
		}, want: []string{"event First (2 times): first", "event SyncFailed (2 times): no address"}},
		"odd": {object: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: [1]}, status: {conditions: 3}}"},
	} {
		t.Run(name, func(t *testing.T) {
			var o unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(c.object), &o.Object); err != nil {
				t.Fatal(err)
			}
			text := Trouble(t.Context(), fake.NewClientset(c.have...), &o)
			var got []string
			for line := range strings.SplitSeq(text, "\n") {
				if line != "" {
					got = append(got, strings.TrimPrefix(line, "  "))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
