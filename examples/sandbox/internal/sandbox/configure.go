package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"

	"strake.dev/strake/examples/sandbox/internal/cgroup"
	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/instance"
	"strake.dev/strake/examples/sandbox/internal/network"
)

// configure loads the instance's state or makes it, and sets up what belongs to the host: control
// group, bridge and packet filter. Other instances wait until this one's choices are in effect.
func (s *Sandbox) configure(ctx context.Context, node string) (*instance.State, error) {
	if err := s.Create(); err != nil {
		return nil, fmt.Errorf("make folders: %w", err)
	}
	release, err := instance.LockMachine(ctx)
	if err != nil {
		return nil, err
	}
	defer release()

	fresh := !s.Exists()
	state, err := s.Load()
	if errors.Is(err, fs.ErrNotExist) {
		state, err = &instance.State{Secret: rand.Text()}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.chooseNode(state, node); err != nil {
		return nil, err
	}
	if err := s.allocate(state); err != nil {
		return nil, err
	}
	if err := s.prepareHost(ctx, state); err != nil {
		// An instance doesn't lose its pods to a passing fault: only a new one may have a fake node instead.
		if !fresh || node != "" || state.Node != NodeReal {
			return nil, err
		}
		s.Say("pods can't run here: %v", err)
		s.Say("using fake nodes (kwok) instead")
		state.Node = NodeKwok
		if err := errors.Join(s.network(state).Remove(ctx), s.prepareHost(ctx, state)); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(s.Claim(state), s.Save(state)); err != nil {
		return nil, err
	}
	return state, nil
}

// chooseNode sets the kind of node: the one asked for, else the one that the instance has, else a
// real one if the user may run that.
func (s *Sandbox) chooseNode(state *instance.State, node string) error {
	switch {
	case node != "" && state.Node != "" && node != state.Node:
		return fmt.Errorf("instance %q has a %s node; run down --purge first to change it", s.Name, state.Node)
	case node != "":
		state.Node = node
	case state.Node != "":
	case os.Geteuid() == 0:
		state.Node = NodeReal
	default:
		s.Say("not root: using fake nodes (kwok), and no BuildKit")
		state.Node = NodeKwok
	}
	return Doctor(state.Node)
}

// allocate chooses ports and pod network. An instance of which anything runs keeps what it has; one
// that is down gets others where somebody took its own meanwhile.
func (s *Sandbox) allocate(state *instance.State) error {
	if len(state.Ports) > 0 && s.anyRunning(state.Node) {
		return nil
	}
	claims, err := s.OtherClaims()
	if err != nil {
		return err
	}
	var ports []int
	var networks []netip.Prefix
	for _, claim := range claims {
		ports = slices.AppendSeq(ports, maps.Values(claim.Ports))
		networks = append(networks, claim.PodNetwork)
	}
	if !portsUsable(state.Ports, ports) {
		if state.Ports, err = instance.FreePorts(s.ID, component.Ports(), ports); err != nil {
			return err
		}
	}
	network := state.PodNetwork
	if !network.IsValid() || slices.ContainsFunc(networks, network.Overlaps) || !instance.PodNetworkFree(network, s.bridge()) {
		if state.PodNetwork, err = instance.FreePodNetwork(s.ID, networks); err != nil {
			return err
		}
	}
	return nil
}

// portsUsable tells whether every use has a port that is neither taken nor open.
func portsUsable(ports map[string]int, taken []int) bool {
	for _, use := range component.Ports() {
		port, chosen := ports[use]
		if !chosen || slices.Contains(taken, port) || !instance.PortFree(port) {
			return false
		}
	}
	return true
}

// anyRunning tells whether any component of the instance runs.
func (s *Sandbox) anyRunning(node string) bool {
	return slices.ContainsFunc(components(node), func(name string) bool {
		record, _, err := s.recorded(name).Load()
		return err == nil && record.Alive()
	})
}

// prepareHost makes what containers need of the host.
func (s *Sandbox) prepareHost(ctx context.Context, state *instance.State) error {
	if os.Geteuid() == 0 {
		if err := cgroup.Create(s.cgroup()); err != nil {
			return err
		}
	}
	if state.Node != NodeReal {
		return nil
	}
	return s.network(state).Ensure(ctx)
}

// network is the pod network, with ways for pods to the API server and the registry.
func (s *Sandbox) network(state *instance.State) *network.Network {
	l := s.layout(state)
	api, registry := l.Ports[component.PortAPI], l.Ports[component.PortRegistry]
	return &network.Network{
		Name:    s.networkName(),
		Bridge:  s.bridge(),
		Pods:    l.Pods,
		Gateway: l.Gateway,
		Forwards: []network.Forward{
			{Address: component.ServiceAddress(), Port: 443, Host: api},
			{Address: l.Gateway, Port: registry, Host: registry, FromHost: true},
		},
	}
}
