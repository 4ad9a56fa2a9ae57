package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/stages"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestImages(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"pod":        {"spec: {initContainers: [{name: i, image: c}], containers: [{name: a, image: b}, {name: b, image: a}, {name: c, image: a}]}", []string{"a", "b", "c"}},
		"deployment": {"spec: {template: {spec: {containers: [{name: a, image: b}]}}}", []string{"b"}},
		"cron job":   {"spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: b}]}}}}}", []string{"b"}},
		"nothing":    {"data: {a: b}", nil},
		"odd":        {"spec: {containers: [1, {image: [x]}, {name: 3, image: b}], template: 7}", []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Images(object(t, c.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageChanges(t *testing.T) {
	was := object(t, "spec: {containers: [{name: a, image: x:1}, {name: b, image: y:1}, {name: c, image: z}]}")
	will := object(t, "spec: {containers: [{name: a, image: x:2}, {name: c, image: z}, {name: d, image: new}]}")
	want := []stages.ImageChange{{From: "x:1", To: "x:2"}, {From: "y:1"}, {To: "new"}}
	if diff := cmp.Diff(want, ImageChanges(was, will)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ImageChanges(nil, was); len(got) != 3 || got[0].From != "" {
		t.Errorf("of a new object: %v", got)
	}
}
