package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkBuild50000 times whole calls of strake build for an App with 50,000 files in a local folder:
// when nothing has changed, and after an edit of one file, which is built.
//
//	eval "$(bin/sandbox env)"; go test ./internal/e2e -run '^$' -bench Build50000 -benchtime 5x
func BenchmarkBuild50000(b *testing.B) {
	const folders, perFolder = 2500, 20
	w := newWorld(b)
	for i := range folders {
		for j := range perFolder {
			name := fmt.Sprintf("src/data/module%d/package%d/file%d.txt", i/100, i%100, j)
			w.write(name, strings.Repeat(fmt.Sprintf("line of file %d in folder %d\n", j, i), 10+j*10))
		}
	}
	w.write("src/.dockerignore", "**/.git\n**/node_modules\n**/*.md\n!README.md\nbin\n")
	w.must("build")
	// What was only just written is read once more before it is remembered.
	time.Sleep(3 * time.Second)
	w.must("build")
	b.Run("nothing-to-do", func(b *testing.B) {
		for b.Loop() {
			if o := w.must("build"); !strings.Contains(o.stderr+o.stdout, "unchanged") {
				b.Fatal(o)
			}
		}
		b.ReportMetric(folders*perFolder, "files/op")
	})
	edits := 0
	b.Run("edited-file", func(b *testing.B) {
		for b.Loop() {
			edits++
			w.write("src/data/module3/package4/file5.txt", fmt.Sprintf("edit %d of %s\n", edits, w.namespace))
			w.must("build")
		}
		b.ReportMetric(folders*perFolder, "files/op")
	})
}
