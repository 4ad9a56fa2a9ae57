package sandbox

import (
	"net/netip"

	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/instance"
)

// testState is what an instance with a real node may have chosen.
func testState() *instance.State {
	return &instance.State{
		Node:       NodeReal,
		Ports:      map[string]int{component.PortRegistry: 20001, component.PortAPI: 20002},
		PodNetwork: netip.MustParsePrefix("10.200.3.0/24"),
	}
}
