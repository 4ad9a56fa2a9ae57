package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// BenchmarkWatch times strake run --watch from the moment when a file is saved to that when the API server has
// taken the change, and to that when the app is ready; the numbers are medians. What is edited is a value of the
// configuration, a file of an image that is only copied together, and one of a program in Go that is compiled.
//
//	eval "$(bin/sandbox env)"; go test ./internal/e2e -run '^$' -bench Watch -benchtime 20x
func BenchmarkWatch(b *testing.B) {
	for _, plugin := range []string{"kapp", "ssa"} {
		w := newWorld(b)
		w.write("app.yaml", strings.Replace(w.app(""), "kapp: {}", plugin+": {}", 1))
		w.write("config/values.yml", "#@data/values\n---\nhello_msg: start\n")
		for name, edit := range map[string]func(n int){
			"config": func(n int) {
				w.write("config/values.yml", fmt.Sprintf("#@data/values\n---\nhello_msg: number %d\n", n))
			},
			"go-image": func(n int) {
				w.write("src/edit.go", fmt.Sprintf("package main\n\n// Edit %d of %s.\n", n, w.namespace))
			},
		} {
			b.Run(plugin+"/"+name, func(b *testing.B) { w.times(b, edit) })
		}
		b.Run(plugin+"/small-image", func(b *testing.B) {
			w.write("src/Dockerfile", "FROM busybox:1\nCOPY healthz /www/healthz\nUSER 65532:65532\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n")
			w.write("src/healthz", "start")
			w.times(b, func(n int) { w.write("src/healthz", fmt.Sprintf("number %d of %s", n, w.namespace)) })
		})
	}
}

// times edits and waits until the edit is applied, and the app is ready.
func (w *world) times(b *testing.B, edit func(n int)) {
	w.t = b
	r := w.watch()
	r.waits()
	var applied, ready []time.Duration
	for b.Loop() {
		saved := time.Now()
		edit(len(applied))
		change := r.until("change", func(l report.Line) bool {
			return l.Type == stages.ChangeMade && l.Stage == stages.Deploy && l.Change.Kind != "ConfigMap"
		})
		applied = append(applied, change.Time.Sub(saved))
		ready = append(ready, r.until("end of the run", ofType(stages.RunFinished)).Time.Sub(saved))
		r.waits()
	}
	b.StopTimer()
	b.ReportMetric(median(applied), "s-to-applied")
	b.ReportMetric(median(ready), "s-to-ready")
	b.ReportMetric(0, "ns/op") // the mean of the whole says nothing
	r.stop()
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return all[len(all)/2].Seconds()
}
