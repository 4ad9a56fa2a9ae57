package names

import (
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cost is what a process took.
type cost struct {
	wall, user time.Duration
	// peak is the most memory that it had, in bytes.
	peak int64
}

func spend(b *testing.B, cmd *exec.Cmd) cost {
	b.Helper()
	cmd.Stdout = io.Discard
	began := time.Now()
	check(b, cmd.Run())
	// Linux counts in KiB: getrusage(2).
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{wall: time.Since(began), user: cmd.ProcessState.UserTime(), peak: usage.Maxrss << 10}
}

func median[T int64 | time.Duration](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// compare runs a tool and ours in turn, and reports medians. The ratio is of user times, by which machines
// that do something else at the time mislead least, or of whole times where processes hardly compute.
func compare(b *testing.B, tool, dir string, ratio func(cost) time.Duration, args ...string) {
	sides := []string{"real", "ours"}
	took := map[string][]cost{}
	for _, side := range sides {
		program(b, side+"/"+tool)
	}
	for b.Loop() {
		for _, side := range sides {
			took[side] = append(took[side], spend(b, command(b.Context(), call{args: args, dir: dir}, program(b, side+"/"+tool))))
		}
	}
	var compared []time.Duration
	for _, side := range sides {
		var wall, user, by []time.Duration
		var peak []int64
		for _, c := range took[side] {
			wall, user, by, peak = append(wall, c.wall), append(user, c.user), append(by, ratio(c)), append(peak, c.peak)
		}
		b.ReportMetric(float64(median(wall).Microseconds())/1000, side+"-ms")
		b.ReportMetric(float64(median(user).Microseconds())/1000, side+"-user-ms")
		b.ReportMetric(float64(median(peak)>>20), side+"-MiB")
		compared = append(compared, median(by))
	}
	b.ReportMetric(float64(compared[1])/float64(compared[0]), "ratio")
	b.ReportMetric(0, "ns/op")
}

func wall(c cost) time.Duration { return c.wall }
func user(c cost) time.Duration { return c.user }

// BenchmarkStart times whole processes that do nothing.
func BenchmarkStart(b *testing.B) {
	for _, tool := range []string{"ytt", "kbld", "vendir", "kapp"} {
		b.Run(tool, func(b *testing.B) { compare(b, tool, b.TempDir(), wall, "version") })
	}
}

// BenchmarkYtt2000 renders 2,000 Deployments, plain or with two overlays on all of them.
func BenchmarkYtt2000(b *testing.B) {
	const overlay = loadOverlay + "#@overlay/match by=overlay.subset({\"kind\": \"Deployment\"}), expects=\"1+\"\n---\nmetadata:\n  #@overlay/match missing_ok=True\n  %s:\n    #@overlay/match missing_ok=True\n    team: x\n"
	var docs strings.Builder
	docs.WriteString(loadData)
	for i := range 2000 {
		fmt.Fprintf(&docs, `---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: #@ "app-%[1]d-" + data.values.suffix
  labels: {app: app-%[1]d}
spec:
  replicas: #@ data.values.replicas
  selector: {matchLabels: {app: app-%[1]d}}
  template:
    metadata: {labels: {app: app-%[1]d}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app:%[1]d
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
`, i)
	}
	dir := folder(b, map[string]string{
		"app/a.yml": docs.String(), "app/s.yml": "#@data/values-schema\n---\nsuffix: x\nreplicas: 1\n",
		"o/1.yml": fmt.Sprintf(overlay, "labels"), "o/2.yml": fmt.Sprintf(overlay, "annotations"),
	})
	b.Run("templates", func(b *testing.B) { compare(b, "ytt", dir, user, "-f", "app") })
	b.Run("overlays", func(b *testing.B) { compare(b, "ytt", dir, user, "-f", "app", "-f", "o") })
}
