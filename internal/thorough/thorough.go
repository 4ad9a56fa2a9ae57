// Package thorough says how much tests repeat that could go on for long: as much as a change should wait for, or,
// with STRAKE_TESTS=thorough (make thorough), all of it.
package thorough

import (
	"hash/fnv"
	"os"
	"testing"
)

func asked() bool { return os.Getenv("STRAKE_TESTS") == "thorough" }

// Times is how often to repeat something.
func Times(usual, all int) int {
	if asked() {
		return all
	}
	return usual
}

// One leaves out a case of a table, but for one of n, which its name decides.
func One(t *testing.T, n uint32, name string) {
	t.Helper()
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name))
	if !asked() && sum.Sum32()%n != 0 {
		t.Skip("only with STRAKE_TESTS=thorough")
	}
}
