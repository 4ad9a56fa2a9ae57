package main

import (
	"reflect"

	"github.com/invopop/jsonschema"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// events describes a line of the events of a run. It allows more fields than there are: later versions of
// strake may add some.
func (g *generator) events() (*jsonschema.Schema, error) {
	g.written = true
	root, err := g.of(reflect.TypeFor[report.Line]())
	if err != nil {
		return nil, err
	}
	line := g.defs[defName(reflect.TypeFor[report.Line]())]
	set := func(field string, s *jsonschema.Schema) {
		if old, ok := line.Properties.Get(field); ok {
			s.Description = old.Description
		}
		line.Properties.Set(field, s)
	}
	set("type", &jsonschema.Schema{Enum: words([]string{
		report.StreamStarted, stages.RunStarted, stages.StepStarted, stages.StepFinished, stages.StepSkipped, stages.TaskUpdate,
		stages.LogLine, stages.Warning, stages.ChangeMade, stages.ChangePlanned, stages.ImageFinal, stages.Waiting, stages.RunFinished,
		report.Watching, report.PodLog, report.PortForwarded,
	})})
	set("schema", &jsonschema.Schema{Const: report.Schema})
	set("outcome", &jsonschema.Schema{Enum: words([]string{
		string(report.Succeeded), string(report.Failed), string(report.Interrupted), string(report.TimedOut), string(report.Pending),
	})})
	require := func(kind string, fields ...string) {
		line.AllOf = append(line.AllOf, &jsonschema.Schema{
			If: with("type", constant(kind)), Then: &jsonschema.Schema{Required: fields},
		})
	}
	require(report.StreamStarted, "command", "schema", "strake")
	require(stages.RunFinished, "command", "outcome", "exitCode", "counts")
	require(report.Watching, "watch")
	require(report.PodLog, "pod")
	require(report.PortForwarded, "pod")
	root.Title = "strake events"
	return root, nil
}
