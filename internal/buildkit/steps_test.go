package buildkit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"strake.dev/strake/stages"
)

type events []string

func (e *events) Observe(ev stages.Event) {
	switch {
	case ev.Task != nil:
		*e = append(*e, fmt.Sprintf("%s %s %d/%d", ev.Task.Name, ev.Task.State, ev.Task.Current, ev.Task.Total))
	default:
		*e = append(*e, ev.Type+" "+ev.Message)
	}
}

func TestSteps(t *testing.T) {
	now := time.Now()
	run, from := digest.FromString("run"), digest.FromString("from")
	var got events
	s := newSteps("app", &got)
	say := func(stream int, text string) *client.SolveStatus {
		return &client.SolveStatus{Logs: []*client.VertexLog{{Vertex: run, Stream: stream, Data: []byte(text)}}}
	}
	for _, status := range []*client.SolveStatus{
		{Vertexes: []*client.Vertex{{Digest: from, Name: "[1/2] FROM a"}, {Digest: run, Name: "[2/2] RUN make"}}},
		{Vertexes: []*client.Vertex{{Digest: from, Name: "[1/2] FROM a", Started: &now, Completed: &now, Cached: true}}},
		{Vertexes: []*client.Vertex{{Digest: run, Name: "[2/2] RUN make", Started: &now}}},
		{Statuses: []*client.VertexStatus{{Vertex: run, ID: "layer", Current: 1, Total: 9}}},
		say(1, "one\ntw"), say(2, "err"), say(1, "o\r\n10%\r20%\r"), say(2, "or\n"),
		{Vertexes: []*client.Vertex{{Digest: run, Name: "[2/2] RUN make", Started: &now}}},
		{Warnings: []*client.VertexWarning{{Vertex: run, Short: []byte("old syntax")}}},
		{Vertexes: []*client.Vertex{{Digest: run, Name: "[2/2] RUN make", Started: &now, Completed: &now}}},
	} {
		s.tell(status)
	}
	s.end(stages.TaskDone)
	want := events{
		"app [1/2] FROM a cached 0/0", "app [2/2] RUN make running 0/0", "app layer running 1/9",
		"log app [2/2] | one", "log app [2/2] | two", "log app [2/2] | error",
		"warning app old syntax", "log app [2/2] | 20%", "app [2/2] RUN make done 0/0", "app layer done 1/9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLastLines(t *testing.T) {
	var got events
	s := newSteps("app", &got)
	id := digest.FromString("x")
	say := func(stream int, text string) {
		s.tell(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: id, Stream: stream, Data: []byte(text + "\n")}}})
	}
	say(2, "the reason")
	for i := range 30 {
		say(1, fmt.Sprint("noise ", i))
	}
	last := s.of(id).last()
	if len(last) != keptLines || last[0] != "the reason" || last[9] != "noise 29" {
		t.Errorf("last lines: %q", last)
	}
	for i := range 30 {
		say(2, fmt.Sprint("error ", i))
	}
	last = s.of(id).last()
	if len(last) != keptLines || last[9] != "error 29" || slices.Contains(last, "noise 1") {
		t.Errorf("last lines: %q", last)
	}
	say(1, strings.Repeat("x", 3*maxLine))
	if n := len(got[len(got)-1]); n > maxLine+100 {
		t.Errorf("a line of %d bytes was told", n)
	}
}
