package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/stages"
)

func TestGrouped(t *testing.T) {
	var out strings.Builder
	g := NewGrouped(&out, []string{"fetch-src"}, Groups{
		Open:   func(step string) string { return "<" + step + "\n" },
		Close:  func(step string) string { return step + ">\n" },
		Escape: strings.ToUpper,
	})
	for _, e := range []stages.Event{
		message("", stages.LogLine, "before"),
		started("fetch-src", "vendir"), message("fetch-src", stages.LogLine, "one\ntwo"), finished("fetch-src", 1),
		started("silent", "ytt"), finished("silent", 1),
		started("cut-off", "kapp"), message("cut-off", stages.LogLine, "last"),
	} {
		g.Observe(e)
	}
	g.Close()
	want := `| BEFORE
<fetch-src
FETCH-SRC  | ONE
FETCH-SRC  | TWO
fetch-src>
FETCH-SRC  DONE IN 1.00S
SILENT     DONE IN 1.00S
<cut-off
CUT-OFF    | LAST
cut-off>
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
