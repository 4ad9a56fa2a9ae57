// Package network makes the pod network of an instance: a bridge that carries the node's address, and
// packet filter rules that lead pods to the servers that listen on loopback only, and out.
package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// A Network is one bridge and its rules. Each rule carries the comment Name, and nothing else does.
type Network struct {
	Name   string // unique on the machine
	Bridge string
	Pods   netip.Prefix
	// Gateway is the host's address on the bridge.
	Gateway  netip.Addr
	Forwards []Forward
}

// A Forward leads what is sent to an address and port to a port of the host's loopback.
type Forward struct {
	Address    netip.Addr
	Port, Host int
	// FromHost forwards what the host itself sends too. Otherwise only pods are served.
	FromHost bool
}

// Ensure makes what is missing of the network.
func (n *Network) Ensure(ctx context.Context) error {
	if _, err := net.InterfaceByName(n.Bridge); err != nil {
		if err := run(ctx, "ip", "link", "add", n.Bridge, "type", "bridge"); err != nil {
			return fmt.Errorf("make bridge: %w", err)
		}
	}
	address := netip.PrefixFrom(n.Gateway, n.Pods.Bits()).String()
	if err := errors.Join(
		run(ctx, "ip", "address", "replace", address, "dev", n.Bridge),
		run(ctx, "ip", "link", "set", n.Bridge, "up"),
	); err != nil {
		return fmt.Errorf("set up bridge: %w", err)
	}
	// Loopback addresses are not reachable through another interface unless it allows them.
	if err := setting("net/ipv4/conf/"+n.Bridge+"/route_localnet", "1"); err != nil {
		return err
	}
	// Pods reach other networks through the host.
	if err := setting("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	return n.ensureRules(ctx)
}

// Remove removes the network, as far as it is there. It needs no field but Name and Bridge.
func (n *Network) Remove(ctx context.Context) error {
	err := n.removeRules(ctx)
	if _, missing := net.InterfaceByName(n.Bridge); missing == nil {
		err = errors.Join(err, run(ctx, "ip", "link", "delete", n.Bridge))
	}
	return err
}

// setting writes a kernel setting, if it differs: it may be read-only and right.
func setting(name, value string) error {
	path := filepath.Join("/proc/sys", name)
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read kernel setting: %w", err)
	}
	if strings.TrimSpace(string(old)) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("change kernel setting: %w", err)
	}
	return nil
}

// A rule is one line of a packet filter chain.
type rule struct {
	table, chain string
	match        []string
}

// rules returns all that the network needs, each with the comment that marks it.
func (n *Network) rules() []rule {
	rules := []rule{
		{"nat", "POSTROUTING", []string{"-s", n.Pods.String(), "!", "-d", n.Pods.String(), "-j", "MASQUERADE"}},
		{"filter", "INPUT", []string{"-i", n.Bridge, "-j", "ACCEPT"}},
		{"filter", "FORWARD", []string{"-i", n.Bridge, "-j", "ACCEPT"}},
		{"filter", "FORWARD", []string{"-o", n.Bridge, "-j", "ACCEPT"}},
	}
	for _, f := range n.Forwards {
		match := []string{
			"-d", f.Address.String() + "/32", "-p", "tcp", "--dport", strconv.Itoa(f.Port),
			"-j", "DNAT", "--to-destination", "127.0.0.1:" + strconv.Itoa(f.Host),
		}
		rules = append(rules, rule{"nat", "PREROUTING", append([]string{"-i", n.Bridge}, match...)})
		if f.FromHost {
			rules = append(rules, rule{"nat", "OUTPUT", match})
		}
	}
	for i := range rules {
		rules[i].match = append([]string{"-m", "comment", "--comment", n.Name}, rules[i].match...)
	}
	return rules
}

// ensureRules leaves a complete set alone, so that connections of running pods don't notice, and
// replaces any other.
func (n *Network) ensureRules(ctx context.Context) error {
	rules := n.rules()
	if n.hasAll(ctx, rules) {
		return nil
	}
	if err := n.removeRules(ctx); err != nil {
		return err
	}
	for _, r := range rules {
		// Rules go first in their chain, before what a firewall rejects.
		if err := iptables(ctx, r.table, append([]string{"-I", r.chain}, r.match...)...); err != nil {
			return fmt.Errorf("add packet filter rule: %w", err)
		}
	}
	return nil
}

func (n *Network) hasAll(ctx context.Context, rules []rule) bool {
	for _, r := range rules {
		if iptables(ctx, r.table, append([]string{"-C", r.chain}, r.match...)...) != nil {
			return false
		}
	}
	return true
}

func iptables(ctx context.Context, table string, args ...string) error {
	return run(ctx, "iptables", append([]string{"-w", "-t", table}, args...)...)
}

// run runs a program and makes what it says part of the error.
func run(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(output))
	}
	return nil
}
