package ytt

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
)

// Rendering allocates much and lives short, so with Go's defaults a third to a half of its time is garbage
// collection. Memory that is there anyway is taken instead: the heap may grow to several times what is
// live, as long as it stays below a budget. Beyond that, it grows as Go has it by default, and as the heap
// of ytt's own program always does.

const (
	// lazy and usual are by how many percent of what is live the heap grows before it is collected: with
	// memory to spare, and at least (https://pkg.go.dev/runtime, GOGC).
	lazy, usual = 400, 100
	// maxBudget is what the heap takes at most, in bytes, for the sake of speed alone.
	maxBudget = 1 << 30
)

// spendMemory has the collector of this process work less, unless the user has said how much it works.
func spendMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	budget := min(maxBudget, spare()/2)
	debug.SetGCPercent(percent(0, budget))
	afterEachCollection(func() { debug.SetGCPercent(percent(live(), budget)) })
}

// percent is by how much a heap of this many live bytes may grow.
func percent(live, budget uint64) int {
	if live == 0 {
		live = 1
	}
	if live >= budget {
		return usual
	}
	return int(max(usual, min(lazy, (budget-live)*100/live)))
}

// afterEachCollection calls f after each garbage collection, on a goroutine of the runtime's.
func afterEachCollection(f func()) {
	// Not of zero size, as such objects may never be collected.
	type sentinel struct{ _ *int }
	var arm func(*sentinel)
	arm = func(*sentinel) {
		f()
		runtime.SetFinalizer(&sentinel{}, arm)
	}
	runtime.SetFinalizer(&sentinel{}, arm)
}

// live is the size in bytes of what the last collection has left.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// spare is how much memory in bytes there is for this process: what the machine has available, or what
// its control group may still take if that is less. Where neither tells, it is plenty.
func spare() uint64 {
	left := uint64(math.MaxUint64)
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		if _, rest, ok := bytes.Cut(info, []byte("\nMemAvailable:")); ok {
			if fields := bytes.Fields(rest); len(fields) > 0 {
				if kib, ok := number(fields[0]); ok {
					left = kib << 10
				}
			}
		}
	}
	// Of version 2 and 1, as a container sees its own.
	for _, files := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, err := os.ReadFile(files[0])
		if err != nil {
			continue
		}
		used, err := os.ReadFile(files[1])
		if err != nil {
			continue
		}
		most, ok := number(limit) // “max” is none
		now, known := number(used)
		if ok && known {
			left = min(left, most-min(most, now))
		}
	}
	return left
}

func number(text []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil
}
