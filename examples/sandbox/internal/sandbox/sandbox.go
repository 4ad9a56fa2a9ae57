// Package sandbox brings instances up and down.
package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"strake.dev/strake/examples/sandbox/internal/component"
	"strake.dev/strake/examples/sandbox/internal/instance"
	"strake.dev/strake/examples/sandbox/internal/proc"
)

// The kinds of node.
const (
	NodeReal = "real"
	NodeKwok = "kwok"
)

// A Sandbox is one instance, with what is needed to change it.
type Sandbox struct {
	*instance.Instance
	// Say tells the user what happens, a line at a time. It may be called concurrently.
	Say func(format string, args ...any)
}

// Open returns the sandbox of that name. Nothing needs to exist yet.
func Open(name string, say func(format string, args ...any)) (*Sandbox, error) {
	home, err := instance.Home()
	if err != nil {
		return nil, err
	}
	i, err := instance.New(home, name)
	if err != nil {
		return nil, err
	}
	return &Sandbox{Instance: i, Say: say}, nil
}

// layout tells components where they are.
func (s *Sandbox) layout(state *instance.State) *component.Layout {
	l := &component.Layout{
		Dir:     s.Dir,
		Run:     s.Run,
		Node:    "sandbox-" + s.Name,
		Real:    state.Node == NodeReal,
		Ports:   state.Ports,
		Pods:    state.PodNetwork,
		Gateway: state.Gateway(),
		Secret:  state.Secret,
		Cgroup:  s.cgroup(),
		Bridge:  s.bridge(),
		Network: s.networkName(),
	}
	if path, err := exec.LookPath("runc"); err == nil {
		l.Runc = path
	}
	return l
}

// cgroup is the control group, in every hierarchy, that holds all containers of the instance.
func (s *Sandbox) cgroup() string { return "/strake-sandbox-" + s.ID }

// bridge is the interface of the pod network. Linux allows 15 bytes.
func (s *Sandbox) bridge() string { return "sk-" + s.ID }

// networkName marks what belongs to the pod network, in the packet filter and elsewhere.
func (s *Sandbox) networkName() string { return "strake-sandbox-" + s.ID }

// components are the names of what an instance with that kind of node consists of, in the order in
// which they are shown.
func components(node string) []string {
	names := []string{"registry"}
	if os.Geteuid() == 0 {
		names = append(names, "buildkitd")
	}
	names = append(names, "etcd", "apiserver", "controller-manager", "scheduler")
	if node == NodeReal {
		return append(names, "containerd", "kubelet")
	}
	return append(names, "kwok")
}

// marker begins the variable that the instance's daemons and their children have in their
// environment.
func (s *Sandbox) marker() string { return "STRAKE_SANDBOX_COMPONENT=" + s.ID + "/" }

// daemon says how a component's program in dir is run.
func (s *Sandbox) daemon(l *component.Layout, c component.Component, dir string) *proc.Daemon {
	d := s.recorded(c.Name)
	d.Path = filepath.Join(dir, c.Program)
	d.Args = c.Args
	d.Config = configOf(c)
	d.Env = environment(dir, l)
	d.Dir = s.Dir
	d.Log = l.Log(c.Name)
	return d
}

// recorded is a daemon of which only the record is of interest.
func (s *Sandbox) recorded(name string) *proc.Daemon {
	return &proc.Daemon{Name: name, State: s.Path("processes", name+".json"), Marker: s.marker() + name}
}

// passedOn are the variables of the user's environment that daemons get too: how to reach registries
// outside, and whom to trust there.
var passedOn = []string{
	"HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
}

// environment is that of daemons whose programs are in dir. Nothing of the instance itself is reached
// through a proxy.
func environment(dir string, l *component.Layout) []string {
	env := []string{"PATH=" + dir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		hosts := []string{"127.0.0.1", "localhost", l.Pods.String(), component.ServiceAddress().String()}
		if value := os.Getenv(name); value != "" {
			hosts = append(hosts, value)
		}
		env = append(env, fmt.Sprintf("%s=%s", name, strings.Join(hosts, ",")))
	}
	return env
}
