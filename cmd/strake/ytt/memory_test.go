package ytt

import "testing"

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for name, test := range map[string]struct {
		live, budget uint64
		want         int
	}{
		"nothing yet":           {0, 1 << 30, lazy},
		"small":                 {8 * mib, 1 << 30, lazy},
		"growing":               {256 * mib, 1 << 30, 300},
		"at half of the budget": {512 * mib, 1 << 30, usual},
		"beyond the budget":     {2 << 30, 1 << 30, usual},
		"a small container":     {20 * mib, 64 * mib, 220},
		"nothing to spare":      {20 * mib, 0, usual},
		"no limit is known":     {20 * mib, maxBudget, lazy},
	} {
		if got := percent(test.live, test.budget); got != test.want {
			t.Errorf("%s: %d, expected %d", name, got, test.want)
		}
	}
}

func TestSpare(t *testing.T) {
	if got := spare(); got == 0 {
		t.Error("nothing to spare")
	}
}
