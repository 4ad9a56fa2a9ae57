package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// verbs are Kustomizer's words for what has become of an object.
var verbs = map[string]string{"create": "created", "update": "configured", "noop": "unchanged", "delete": "deleted"}

// objectName names an object in Kustomizer's way: Kind/namespace/name.
func objectName(c stages.Change) string {
	parts := slices.DeleteFunc([]string{c.Kind, c.Namespace, c.Name}, func(s string) bool { return s == "" })
	return render.Line(strings.Join(parts, "/"))
}

// A narration prints what becomes of the objects of an inventory, one a line, as Kustomizer does.
type narration struct {
	w io.Writer
	// waiting is what is printed when all is applied and waited for.
	waiting string
	waits   bool
}

func (n *narration) Observe(e stages.Event) {
	switch {
	case e.Type == stages.ChangeMade && e.Change != nil && verbs[e.Change.Op] != "":
		fmt.Fprintf(n.w, "%s %s\n", objectName(*e.Change), verbs[e.Change.Op])
	case e.Type == stages.Waiting:
		n.wait()
	}
}

// wait says once that the objects are waited for.
func (n *narration) wait() {
	if !n.waits && n.waiting != "" {
		fmt.Fprintln(n.w, n.waiting)
	}
	n.waits = true
}

// narrate is [tool.work] for commands that print what they do while they do it: on standard error goes only
// what isn't said on standard output already.
func (t *tool) narrate(ctx context.Context, s *session, o *outputFlags, limit *timeoutFlag, do func(context.Context, pipeline.Options) error) (*report.Run, error) {
	var show display
	switch {
	case o.format.value == formatJSON, o.progress.value == progressNone:
		show = silent{}
	default:
		show = asides{render.NewPlain(t.harmless(t.err), nil)}
	}
	return t.watch(ctx, s, o, limit, show, do)
}

// asides shows what isn't part of a narration.
type asides struct{ display }

func (a asides) Observe(e stages.Event) {
	switch e.Type {
	case stages.TaskUpdate, stages.LogLine, stages.Warning:
		e.Step = ""
		a.display.Observe(e)
	}
}
