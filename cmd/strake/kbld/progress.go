package kbld

import (
	"context"
	"strings"

	kbldlogger "carvel.dev/kbld/pkg/kbld/logger"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/stages"
)

// A printer prints events in the way of kbld: a line each, after the name of the image that it is about.
type printer struct {
	log   kbldlogger.Logger
	clean func(string) string
	// name is that of the image that is built, if the events are those of a build.
	name string
}

// Observe prints what people want to see of an event.
func (p *printer) Observe(e stages.Event) {
	switch {
	case e.Type == stages.Warning:
		p.line("Warning: ", e.Message)
	case e.Type == stages.LogLine && p.name != "":
		p.line(p.name+" | ", strings.TrimPrefix(e.Message, p.name+" "))
	case e.Type == stages.LogLine:
		p.line("", e.Message)
	case e.Type == stages.ImageFinal && e.Image.Action == "reused":
		p.line(e.Image.From+" | ", "nothing to build: "+e.Image.Reason)
	case e.Type == stages.TaskUpdate:
		p.task(e.Task)
	}
}

// task prints that a step of a Dockerfile, or anything that failed, has ended.
func (p *printer) task(t *stages.Task) {
	text := strings.TrimPrefix(t.Name, p.name+" ")
	step := strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "[internal]")
	switch {
	case t.State == stages.TaskFailed:
		p.line(p.name+" | ", text+" (failed)")
	case t.State == stages.TaskCached && step:
		p.line(p.name+" | ", text+" (cached)")
	case t.State == stages.TaskDone && step:
		p.line(p.name+" | ", text)
	}
}

func (p *printer) line(prefix, text string) {
	// There is no way to tell of a standard error that can't be written to.
	_ = p.log.NewPrefixedWriter(prefix).WriteStr("%s\n", strings.TrimRight(p.clean(text), "\n"))
}

// A builder tells of its builds as kbld tells of docker's.
type builder struct {
	kbld.Builder
	log   kbldlogger.Logger
	clean func(string) string
}

// Build builds, and prints what happens.
func (b *builder) Build(ctx context.Context, source *buildkit.Build, out buildkit.Output, _ stages.Observer) (buildkit.Result, error) {
	p := &printer{log: b.log, clean: b.clean, name: out.Name}
	var tags []string
	for _, tag := range out.Push {
		tags = append(tags, tag.Name())
	}
	p.line(p.name+" | ", "starting build (using BuildKit): -> "+strings.Join(tags, ", "))
	result, err := b.Builder.Build(ctx, source, out, p)
	if err == nil {
		p.line(p.name+" | ", "finished build (using BuildKit)")
	}
	return result, err
}
