package render

import (
	"testing"
	"time"

	"strake.dev/strake/stages"
)

func TestProgressOfTransfers(t *testing.T) {
	half := stages.Task{Current: 5e6, Total: 10e6, Unit: "bytes"}
	for name, c := range map[string]struct {
		task  stages.Task
		width int
		took  time.Duration
		want  string
	}{
		"wide":           {half, 80, 2 * time.Second, "[==========          ] 5.0/10.0 MB 2.5 MB/s  "},
		"narrow":         {half, 79, 2 * time.Second, "5.0/10.0 MB  "},
		"just begun":     {half, 80, time.Second / 2, "[==========          ] 5.0/10.0 MB  "},
		"no end in view": {stages.Task{Current: 5e6, Unit: "bytes"}, 80, 4 * time.Second, "5.0 MB 1.2 MB/s  "},
		"no bytes":       {stages.Task{Current: 1, Total: 2, Unit: "objects"}, 80, 4 * time.Second, "[==========          ] 1/2 objects  "},
		"nothing":        {stages.Task{}, 80, time.Minute, ""},
	} {
		if got := (&taskState{Task: c.task}).progress(c.width, c.took); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
