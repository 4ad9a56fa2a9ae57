package buildkit

import (
	"fmt"
	"testing"
)

func pool(n int) []Daemon {
	daemons := make([]Daemon, n)
	for i := range daemons {
		daemons[i] = Daemon{Address: podAddressOf(i)}
	}
	return daemons
}

func podAddressOf(i int) string { return fmt.Sprintf("kube-pod://buildkitd-%d?namespace=builders", i) }

func sourceName(i int) string { return fmt.Sprintf("strake/team/app-%d/src/Dockerfile", i) }

// Sources are spread over the daemons, each by its own name and not by the daemons' order.
func TestPreferredSpreads(t *testing.T) {
	const sources = 3000
	for _, n := range []int{1, 2, 3, 5, 8} {
		daemons := pool(n)
		backwards := make([]Daemon, n)
		for i, d := range daemons {
			backwards[n-1-i] = d
		}
		share := map[Daemon]int{}
		for i := range sources {
			order := preferred(daemons, sourceName(i))
			if len(order) != n {
				t.Fatalf("%d daemons of %d", len(order), n)
			}
			if again := preferred(backwards, sourceName(i)); again[0] != order[0] || again[n-1] != order[n-1] {
				t.Fatalf("the order of the daemons counts: %v, %v", order, again)
			}
			share[order[0]]++
		}
		for d, got := range share {
			if want := sources / n; got < want*85/100 || got > want*115/100 {
				t.Errorf("of %d daemons, %s has %d of %d sources", n, d, got, sources)
			}
		}
	}
}

// When a daemon comes, only those sources move that it gets; when one goes, only those that it had, and
// to more than one other.
func TestPreferredMovesLittle(t *testing.T) {
	const sources = 3000
	for _, n := range []int{1, 2, 4} {
		fewer, more := pool(n), pool(n+1)
		added := more[n]
		moved := 0
		takers := map[Daemon]bool{}
		for i := range sources {
			before, after := preferred(fewer, sourceName(i)), preferred(more, sourceName(i))
			if before[0] != after[0] {
				moved++
				if after[0] != added {
					t.Fatalf("source %d went from %s to %s", i, before[0], after[0])
				}
				if after[1] != before[0] {
					t.Fatalf("without %s source %d would go to %s, not back to %s", added, i, after[1], before[0])
				}
				takers[after[1]] = true
			}
		}
		if want := sources / (n + 1); moved < want*85/100 || moved > want*115/100 {
			t.Errorf("one more than %d daemons moves %d of %d sources", n, moved, sources)
		}
		if len(takers) != n {
			t.Errorf("the sources of one of %d daemons go to %d others", n+1, len(takers))
		}
	}
}

// Which daemon a source has must not change with strake's version: its cache is there.
func TestPreferredIsForEver(t *testing.T) {
	for source, want := range map[int][]int{0: {2, 1, 0}, 1: {0, 1, 2}, 2: {2, 1, 0}} {
		order := preferred(pool(3), sourceName(source))
		var got []Daemon
		for _, i := range want {
			got = append(got, Daemon{Address: podAddressOf(i)})
		}
		if fmt.Sprint(order) != fmt.Sprint(got) {
			t.Errorf("source %d: %v, expected %v", source, order, got)
		}
	}
}
