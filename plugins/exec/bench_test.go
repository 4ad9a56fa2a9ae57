package exec

import (
	"os/exec"
	"testing"

	"strake.dev/strake/stages"
	"strake.dev/strake/stages/protocol"
	"strake.dev/strake/stages/stagetest"
)

// BenchmarkCall is a whole call of an executable that only says hello: confined, and what starting it takes by
// itself.
func BenchmarkCall(b *testing.B) {
	path := script(b, "echo '"+hello+"'\n")
	b.Run("confined", func(b *testing.B) {
		s := stagetest.Bind(b, of(stages.Template, path), "path: "+path).(*step)
		job := stagetest.NewJob(b, stagetest.Case{})
		for b.Loop() {
			a, err := s.ask(b.Context(), job, protocol.Check)
			if err != nil {
				b.Fatal(err)
			}
			if err := a.session.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if out, err := exec.CommandContext(b.Context(), path).Output(); err != nil || len(out) == 0 {
				b.Fatal(err)
			}
		}
	})
}
