package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestRulesCarryTheMark(t *testing.T) {
	n := &Network{
		Name: "strake-sandbox-0123abcd", Bridge: "sk-0123abcd",
		Pods: netip.MustParsePrefix("10.200.3.0/24"), Gateway: netip.MustParseAddr("10.200.3.1"),
		Forwards: []Forward{
			{Address: netip.MustParseAddr("10.96.0.1"), Port: 443, Host: 20002},
			{Address: netip.MustParseAddr("10.200.3.1"), Port: 20001, Host: 20001, FromHost: true},
		},
	}
	var forwards []string
	for _, r := range n.rules() {
		if !n.marks(append([]string{"-A", r.chain}, r.match...)) {
			t.Errorf("rule %v would not be found again", r)
		}
		if slices.Contains(r.match, "DNAT") {
			forwards = append(forwards, r.chain+" "+strings.Join(r.match[4:], " "))
		}
	}
	want := []string{
		"PREROUTING -i sk-0123abcd -d 10.96.0.1/32 -p tcp --dport 443 -j DNAT --to-destination 127.0.0.1:20002",
		"PREROUTING -i sk-0123abcd -d 10.200.3.1/32 -p tcp --dport 20001 -j DNAT --to-destination 127.0.0.1:20001",
		"OUTPUT -d 10.200.3.1/32 -p tcp --dport 20001 -j DNAT --to-destination 127.0.0.1:20001",
	}
	if !slices.Equal(forwards, want) {
		t.Errorf("forwards:\n%s\nwant:\n%s", strings.Join(forwards, "\n"), strings.Join(want, "\n"))
	}
}

func TestOnlyOwnRulesAreMarked(t *testing.T) {
	n := &Network{Name: "strake-sandbox-0123abcd"}
	for line, want := range map[string]bool{
		"-A FORWARD -i sk-0123abcd -m comment --comment strake-sandbox-0123abcd -j ACCEPT":   true,
		`-A FORWARD -i sk-0123abcd -m comment --comment "strake-sandbox-0123abcd" -j ACCEPT`: true,
		"-A FORWARD -i sk-0123abce -m comment --comment strake-sandbox-0123abce -j ACCEPT":   false,
		"-A FORWARD -i sk-0123abcd -j ACCEPT":                                                false,
		"-A strake-sandbox-0123abcd -j ACCEPT":                                               false,
		`-A CNI-HOSTPORT-DNAT -d 10.200.3.1/32 -p tcp -m comment --comment "dnat name: \"strake-sandbox-0123abcd\" id: \"af\"" -m multiport --dports 5000 -j CNI-DN-1f`: true,
		`-A CNI-HOSTPORT-DNAT -d 10.200.4.1/32 -p tcp -m comment --comment "dnat name: \"strake-sandbox-0123abce\" id: \"af\"" -m multiport --dports 5000 -j CNI-DN-2f`: false,
	} {
		if got := n.marks(split(line)); got != want {
			t.Errorf("%s: marked %v, want %v", line, got, want)
		}
	}
}
