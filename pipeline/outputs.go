package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"strake.dev/strake/pipeline/expr"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// outputs are what a step declares to yield.
func (s Step) outputs() []stages.Output {
	return slices.Concat(stages.Outputs(s.Stage), s.own())
}

// own are the outputs that not every step of the stage has.
func (s Step) own() []stages.Output {
	if y, ok := s.step.(stages.Yielder); ok {
		return slices.Concat(s.Plugin.Outputs, y.Outputs())
	}
	return s.Plugin.Outputs
}

// openOutputs refuses outputs that hold a secret: expressions carry them into files and to other steps.
func (r *run) openOutputs(outputs map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		if text, ok := outputs[name].(string); ok && r.secret.clean(text) != text {
			return stages.WithHint(fmt.Errorf("the output %s holds a secret", name), "outputs are kept and shown: hand secrets on by the environment")
		}
	}
	return nil
}

// A tally counts what a step tells of, for its outputs.
type tally struct {
	mu      sync.Mutex
	changes map[string]int64
	built   []string
}

func (t *tally) add(e stages.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Type == stages.ChangeMade && e.Change != nil:
		t.count(*e.Change)
	case e.Type == stages.ImageFinal && e.Image != nil && e.Image.Action == stages.ImageBuilt:
		t.built = append(t.built, e.Image.From)
	}
}

func (t *tally) count(c stages.Change) {
	if t.changes == nil {
		t.changes = map[string]int64{}
	}
	t.changes[c.Op]++
}

// telling passes on what a step tells, and counts it.
type telling struct {
	stages.Observer
	told *tally
}

func (t telling) Observe(e stages.Event) {
	t.told.add(e)
	t.Observer.Observe(e)
}

// yielded are the outputs of a step that has run, or was planned.
func (t *tally) yielded(s Step, rec StepRecord, result stages.Result) map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]any{}
	if rec.Output != "" {
		out["digest"] = "sha256:" + rec.Output
	}
	switch s.Stage {
	case stages.Fetch:
		out["revision"] = rec.Origin.Revision
	case stages.Build:
		images, digests := map[string]string{}, map[string]string{}
		for _, i := range rec.Images {
			from := i.Annotations[schema.AnnotationImageID]
			images[from] = i.Image
			if _, digest, ok := cutLast(i.Image, "@"); ok {
				digests[from] = digest
			}
		}
		slices.Sort(t.built)
		out["images"], out["digests"], out["built"] = images, digests, slices.Clone(append([]string{}, t.built...))
	case stages.Deploy:
		c := t.changes
		out["created"], out["updated"], out["deleted"] = c["create"], c["update"], c["delete"]
		out["changed"] = c["create"]+c["update"]+c["delete"] > 0
	}
	for _, o := range s.own() {
		if v, ok := result.Outputs[o.Name]; ok {
			out[o.Name] = v
		}
	}
	return out
}

// typed gives outputs that were read from a record the types that the step declares. What doesn't fit is left out.
func (s Step) typed(outputs map[string]any) map[string]any {
	out := map[string]any{}
	for _, o := range s.outputs() {
		text, err := json.Marshal(outputs[o.Name])
		if _, there := outputs[o.Name]; !there || err != nil {
			continue
		}
		switch o.Example.(type) {
		case string:
			read[string](out, o.Name, text)
		case int64:
			read[int64](out, o.Name, text)
		case bool:
			read[bool](out, o.Name, text)
		case []string:
			read[[]string](out, o.Name, text)
		case map[string]string:
			read[map[string]string](out, o.Name, text)
		}
	}
	return out
}

func read[T any](into map[string]any, name string, text []byte) {
	var v T
	if json.Unmarshal(text, &v) == nil {
		into[name] = v
	}
}

// keep keeps what became of a step, for the expressions of later ones.
func (r *run) keep(s Step, outcome string, outputs map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.became == nil {
		r.became = map[string]any{}
	}
	r.became[s.Name] = map[string]any{"outcome": outcome, "outputs": s.typed(outputs)}
}

// names are what expressions may name now.
func (r *run) names() expr.Names {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := map[string]any{}
	maps.Copy(steps, r.became)
	return r.plan.scope.with(expr.Names{nameSteps: steps}).values
}
