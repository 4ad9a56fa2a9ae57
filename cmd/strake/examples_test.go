package main

import (
	"os"
	"os/exec"
	"testing"
)

// The module that builds a strake with one more plugin compiles with this one, as it is. Linking it is left out:
// it takes as long as strake itself.
func TestCompiledInExample(t *testing.T) {
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./ours"}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = "../../examples/plugins/compiled-in"
		cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath -mod=readonly", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", t.TempDir(), "../../examples/plugins/go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("examples/plugins/go: %v\n%s", err, out)
	}
}
