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
	s := newSteps("app", &got, strings.Clone)
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
	s := newSteps("app", &got, strings.Clone)
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

// Where a long line is cut, no piece of a secret is left, nor where the daemon has cut the output.
func TestSecretsInLongLines(t *testing.T) {
	const secret = "0123456789abcdefghijklmnopqrstuv"
	for before := maxLine - 2*len(secret); before < maxLine+len(secret); before++ {
		for _, cut := range []int{0, 1, len(secret) / 2, len(secret)} {
			var got events
			var h hidden
			h.Add([]byte(secret))
			s := newSteps("app", &got, h.CleanLog)
			text := strings.Repeat("x", before) + secret + strings.Repeat("y", 10)
			for _, chunk := range []string{text[:before+cut], text[before+cut:], "more\nnext\n"} {
				s.tell(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: digest.FromString("x"), Stream: 1, Data: []byte(chunk)}}})
			}
			if len(got) != 2 || got[1] != "log app  | next" {
				t.Fatalf("%d before, cut at %d: %d lines", before, cut, len(got))
			}
			const least = 8
			for i := range len(secret) - least {
				if strings.Contains(h.CleanLog(got[0]), secret[i:i+least]) {
					t.Fatalf("%d before, cut at %d: …%s", before, cut, got[0][len(got[0])-2*len(secret):])
				}
			}
		}
	}
}
