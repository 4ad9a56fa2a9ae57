// Package component describes the daemons of a sandbox: how each is configured, what it waits for,
// and how it shows that it is ready. It starts nothing.
package component

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"strake.dev/strake/examples/sandbox/internal/build"
)

// The uses of ports.
const (
	PortRegistry = "registry"
	PortEtcd     = "etcd"
	PortEtcdPeer = "etcd-peer"
	PortAPI      = "apiserver"
	PortKubelet  = "kubelet"
)

// Ports are all uses of ports.
func Ports() []string {
	return []string{PortRegistry, PortAPI, PortEtcd, PortEtcdPeer, PortKubelet}
}

// serviceNetwork is where Kubernetes takes the addresses of services from. Nothing outside a pod
// network sees them, so that instances can all use the same.
const serviceNetwork = "10.96.0.0/16"

// ServiceAddress is the address of the service "kubernetes", the first of the service network.
func ServiceAddress() netip.Addr { return netip.MustParsePrefix(serviceNetwork).Addr().Next() }

// A Layout is what the components of an instance have to know of it and of each other.
type Layout struct {
	Dir     string // of all that outlives a stop
	Run     string // of sockets and other things that don't
	Node    string // name of the node
	Real    bool   // pods really run
	Ports   map[string]int
	Pods    netip.Prefix
	Gateway netip.Addr // of the pod network; the node's address
	Secret  string     // keys the registry's uploads
	Runc    string     // path of the program
	Bridge  string     // interface of the pod network
	Network string     // name of the pod network, unique on the machine
	Cgroup  string     // absolute, within the hierarchies
}

// A Component is one daemon.
type Component struct {
	Name    string
	Module  build.Module // that its program is built from
	Program string
	Args    []string
	// Files are its configuration: contents by absolute path.
	Files map[string]string
	Dirs  []string // that must be there before it starts
	// After names what must be ready before it starts.
	After []string
	// Ports by their use, that it listens on.
	Ports []string
	// Ready tells whether it answers. Nil means that it is ready as long as it runs.
	Ready func(context.Context) error
}

func (l *Layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.Dir}, elem...)...)
}

// local is the address of a server on loopback.
func (l *Layout) local(use string) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.Ports[use]))
}

// Registry is the registry's address as the host, BuildKit and containerd use it.
func (l *Layout) Registry() string { return l.local(PortRegistry) }

// PodRegistry is the registry's address as pods use it, and as everybody can.
func (l *Layout) PodRegistry() string {
	return net.JoinHostPort(l.Gateway.String(), strconv.Itoa(l.Ports[PortRegistry]))
}

// hostPortRegistry is the host port at which the node pulls by plain HTTP: that of a registry which is
// itself a pod. It is the one that registries use if nothing else is said.
const hostPortRegistry = 5000

// HostPortRegistry is the address of a registry that is a pod with that host port. The node, pods and
// the host all reach it there.
func (l *Layout) HostPortRegistry() string {
	return net.JoinHostPort(l.Gateway.String(), strconv.Itoa(hostPortRegistry))
}

// API is the URL of the Kubernetes API server.
func (l *Layout) API() string { return "https://" + l.local(PortAPI) }

// BuildKitSocket is where buildkitd listens.
func (l *Layout) BuildKitSocket() string { return filepath.Join(l.Run, "buildkitd.sock") }

// AuditLog is where the API server records each request that may write.
func (l *Layout) AuditLog() string { return l.path("logs", "audit.log") }

// Log is where a component's output goes.
func (l *Layout) Log(name string) string { return l.path("logs", name+".log") }
