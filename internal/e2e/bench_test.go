package e2e

import (
	"fmt"
	"testing"
)

// BenchmarkRun times whole calls of strake on the example app: a first run, one that finds nothing to
// do, and runs after an edit. Waiting for pods to be ready is part of those that deploy.
//
//	eval "$(bin/sandbox env)"; go test ./internal/e2e -run '^$' -bench Run -benchtime 10x
func BenchmarkRun(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			w := newWorld(b)
			// Another image each time, so that it has to be built.
			w.write("src/edit.go", fmt.Sprintf("package main\n\n// For %s.\n", w.namespace))
			b.StartTimer()
			w.must("run")
		}
	})
	w := newWorld(b)
	w.must("run")
	b.Run("nothing-to-do", func(b *testing.B) {
		for b.Loop() {
			w.must("run")
		}
	})
	edits := 0
	b.Run("edited-value", func(b *testing.B) {
		for b.Loop() {
			edits++
			w.write("config/values.yml", fmt.Sprintf("#@data/values\n---\nhello_msg: number %d\n", edits))
			w.must("run")
		}
	})
	b.Run("edited-source", func(b *testing.B) {
		for b.Loop() {
			edits++
			w.write("src/edit.go", fmt.Sprintf("package main\n\n// Edit %d of %s.\n", edits, w.namespace))
			w.must("run")
		}
	})
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			w.must("plan")
		}
	})
}
