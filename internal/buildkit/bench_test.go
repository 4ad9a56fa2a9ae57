package buildkit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages/filesum"
)

// BenchmarkContext50000 times the check of a build's context of 50,000 files: nothing known of them
// before, and nothing changed since the last check. It reads the digests from disk each time, as each
// run does.
//
//	go test ./internal/buildkit -run '^$' -bench Context50000 -benchtime 10x
func BenchmarkContext50000(b *testing.B) {
	const folders, perFolder = 2500, 20
	dir := b.TempDir()
	for i := range folders {
		sub := filepath.Join(dir, "src", fmt.Sprintf("module%d", i/100), fmt.Sprintf("package%d", i%100))
		must(b, os.MkdirAll(sub, 0o755))
		for j := range perFolder {
			text := bytes.Repeat(fmt.Appendf(nil, "line of file %d in folder %d\n", j, i), 10+j*10)
			must(b, os.WriteFile(filepath.Join(sub, fmt.Sprintf("file%d.go", j)), text, 0o644))
		}
	}
	buildkittest.Write(b, dir, map[string]string{
		"src/Dockerfile":    "FROM scratch\nCOPY . /\n",
		"src/.dockerignore": "**/.git\n**/node_modules\n**/*.md\n!README.md\nbin\ndist\n**/*_gen.tmp\n",
	})
	sums := filepath.Join(b.TempDir(), "sums")
	check := func(b *testing.B) {
		s := Source{Root: buildkittest.Root(b, dir), Context: "src", Sums: filesum.Open(sums)}
		build, err := Load(b.Context(), s, "0")
		must(b, err)
		build.Parts()
		if n := len(build.context.entries); n < folders*perFolder {
			b.Fatalf("%d entries", n)
		}
		must(b, s.Sums.Save())
	}
	// What was only just written isn't remembered.
	time.Sleep(3 * time.Second)
	for _, name := range []string{"cold", "warm"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if name == "cold" {
					b.StopTimer()
					must(b, os.RemoveAll(sums))
					b.StartTimer()
				}
				check(b)
			}
			b.ReportMetric(folders*perFolder, "files/op")
		})
	}
}
