package cli

import (
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

// Whatever owners say, each object is shown once, and what it says can't steer a terminal.
func TestPrintTree(t *testing.T) {
	for name, c := range map[string]struct {
		objects []stages.Object
		want    []string
	}{
		"several levels": {
			[]stages.Object{
				{Kind: "D", Name: "a", UID: "1"},
				{Kind: "R", Name: "b", UID: "2", Parent: "1"},
				{Kind: "P", Name: "c", UID: "3", Parent: "2"},
				{Kind: "R", Name: "d", UID: "4", Parent: "1"},
				{Kind: "P", Name: "e", UID: "5", Parent: "4"},
			},
			[]string{"D/a", "├─ R/b", "│  └─ P/c", "└─ R/d", "   └─ P/e"},
		},
		"no identities":   {[]stages.Object{{Kind: "A", Name: "a"}, {Kind: "A", Name: "b"}}, []string{"A/a", "A/b"}},
		"owner elsewhere": {[]stages.Object{{Kind: "A", Name: "a", UID: "1", Parent: "9"}}, []string{"A/a"}},
		"its own owner":   {[]stages.Object{{Kind: "A", Name: "a", UID: "1", Parent: "1"}}, []string{"A/a"}},
		"a circle": {
			[]stages.Object{{Kind: "A", Name: "a", UID: "1", Parent: "2"}, {Kind: "A", Name: "b", UID: "2", Parent: "1"}},
			[]string{"A/a", "└─ A/b"},
		},
		"control characters": {[]stages.Object{{Kind: "A", Name: "a\x1b[31m\nb", UID: "1"}}, []string{"A/a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			printTree(&out, c.objects)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")[1:]
			if len(lines) != len(c.want) {
				t.Fatalf("expected %q, found %q", c.want, lines)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, c.want[i]+" ") {
					t.Errorf("expected %q, found %q", c.want[i], line)
				}
			}
		})
	}
}
