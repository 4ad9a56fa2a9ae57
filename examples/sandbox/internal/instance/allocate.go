package instance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Ports are taken from below the range that Linux uses for outgoing connections (32768-60999), so
// that a connection can't sit on the port of a component that is being restarted.
const (
	firstPort = 20000
	lastPort  = 29999
)

// podNetworks is where instances take their /24 from.
var podNetworks = netip.MustParsePrefix("10.200.0.0/14")

// FreePorts returns a port for each use, none of them open now and none of those in taken. The search
// starts at a place given by seed, so that an instance mostly gets the same ones again.
func FreePorts(seed string, uses []string, taken []int) (map[string]int, error) {
	ports := make(map[string]int, len(uses))
	span := lastPort - firstPort + 1
	next := int(hash(seed) % uint32(span))
	for range span {
		if len(ports) == len(uses) {
			break
		}
		port := firstPort + next
		next = (next + 1) % span
		if !slices.Contains(taken, port) && PortFree(port) {
			ports[uses[len(ports)]] = port
		}
	}
	if len(ports) < len(uses) {
		return nil, fmt.Errorf("fewer than %d free ports between %d and %d", len(uses), firstPort, lastPort)
	}
	return ports, nil
}

// PortFree tells whether a server could listen on the port, on every address.
func PortFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	return err == nil && listener.Close() == nil
}

// PodNetworkFree tells whether no interface of this machine is on a network that overlaps the prefix,
// other than the one named own.
func PodNetworkFree(prefix netip.Prefix, own string) bool {
	used, err := hostNetworks(own)
	return err == nil && !slices.ContainsFunc(used, prefix.Overlaps)
}

// FreePodNetwork returns a /24 that overlaps no network that an interface of this machine is on, and
// none of taken.
func FreePodNetwork(seed string, taken []netip.Prefix) (netip.Prefix, error) {
	used, err := hostNetworks("")
	if err != nil {
		return netip.Prefix{}, err
	}
	used = append(used, taken...)
	base := binary.BigEndian.Uint32(podNetworks.Addr().AsSlice())
	count := uint32(1) << (24 - podNetworks.Bits())
	for n := range count {
		var addr [4]byte
		binary.BigEndian.PutUint32(addr[:], base+((hash(seed)+n)%count)<<8)
		prefix := netip.PrefixFrom(netip.AddrFrom4(addr), 24)
		if !slices.ContainsFunc(used, prefix.Overlaps) {
			return prefix, nil
		}
	}
	return netip.Prefix{}, errors.New("no free /24 in " + podNetworks.String() + " for pods")
}

// hostNetworks returns the networks that this machine's interfaces, except one, are on.
func hostNetworks(except string) ([]netip.Prefix, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list this machine's interfaces: %w", err)
	}
	var networks []netip.Prefix
	for _, iface := range interfaces {
		if iface.Name == except {
			continue
		}
		addrs, err := iface.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", iface.Name, err)
		}
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
				networks = append(networks, prefix.Masked())
			}
		}
	}
	return networks, nil
}

func hash(seed string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(seed))
	return h.Sum32()
}
