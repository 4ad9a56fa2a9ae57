package kbld

import (
	"context"
	"errors"
	"fmt"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Daemon names the BuildKit daemons that may build. Without address, addresses and pods: those of
// --buildkit-addr, else those of BUILDKIT_HOST, else those found in the cluster.
type Daemon struct {
	// Address is in a form such as unix:///run/buildkit/buildkitd.sock, tcp://host:port,
	// docker-container://name or kube-pod://pod?namespace=ns; default: --buildkit-addr, else
	// BUILDKIT_HOST, else daemons found in the cluster.
	Address string `json:"address,omitempty"`
	// Addresses are those of several daemons. Each source sticks to one of them, and is built by
	// another if that one is gone.
	Addresses []string `json:"addresses,omitempty"`
	// Pods looks for the daemons in the cluster.
	Pods *Pods `json:"pods,omitempty"`
	// TLS is for daemons at tcp:// addresses and at ports of pods; default: --buildkit-tls-dir.
	TLS *TLS `json:"tls,omitempty"`
}

// Pods say which pods are BuildKit daemons. Those count that run and are ready.
type Pods struct {
	// Selector is a label selector; default: app.kubernetes.io/name=buildkitd.
	Selector string `json:"selector,omitempty"`
	// Namespace is the only one to look in; default: all, or where those may not be listed, the App's.
	Namespace string `json:"namespace,omitempty"`
	// Container is the one with the daemon; default: the pod's only one.
	Container string `json:"container,omitempty"`
	// Port is the one that the daemon listens on, to be reached by a port-forward; default: none, and
	// “buildctl dial-stdio” is run in the container.
	Port int `json:"port,omitempty"`
}

// TLS is how to recognise a daemon, and how to be recognised by it.
type TLS struct {
	// SecretRef names a Secret with ca.crt, tls.crt and tls.key, such as one of the type
	// kubernetes.io/tls.
	SecretRef schema.LocalRef `json:"secretRef" required:"true"`
	// ServerName is the name that the daemon's certificate has to have; default: the host of its
	// address.
	ServerName string `json:"serverName,omitempty"`
}

// Validate checks the forms of addresses, and that only one field says where to build.
func (d *Daemon) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	check := func(n *schema.Node, err error) {
		if err != nil {
			diag := n.Errorf("%v", err)
			diag.Hint = stages.Hint(err)
			found = append(found, diag)
		}
	}
	given := 0
	if d.Address != "" {
		given++
		check(n.Get("address"), buildkit.CheckAddress(d.Address))
	}
	if len(d.Addresses) > 0 {
		given++
		for i, item := range n.Get("addresses").Items() {
			check(item, buildkit.CheckAddress(d.Addresses[i]))
		}
	}
	if d.Pods != nil {
		given++
	}
	if given > 1 {
		found = append(found, n.Errorf("expected one of address, addresses and pods"))
	}
	return found.Err()
}

// Validate checks the selector and the port.
func (p *Pods) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if err := kube.CheckSelector(p.Selector); err != nil {
		found = append(found, n.Get("selector").Errorf("%v", err))
	}
	if p.Port < 0 || p.Port > 65535 {
		found = append(found, n.Get("port").Errorf("expected a number from 1 to 65535, found %d", p.Port))
	}
	return found.Err()
}

// choice is what the App says of where to build, with the Secret that it names.
func (d *Daemon) choice(ctx context.Context, job *stages.Job) (buildkit.Choice, error) {
	choice := buildkit.Choice{Addresses: d.Addresses, Namespace: job.App.Namespace}
	if d.Address != "" {
		choice.Addresses = []string{d.Address}
	}
	if p := d.Pods; p != nil {
		choice.Pods = &buildkit.Pods{Selector: p.Selector, Namespace: p.Namespace, Container: p.Container, Port: p.Port}
	}
	if d.TLS == nil {
		return choice, nil
	}
	ref := d.TLS.SecretRef.Name
	data, err := job.Objects.Secret(ctx, ref)
	if err == nil {
		choice.TLS, err = buildkit.SecretTLS(ref, data, d.TLS.ServerName)
	} else {
		err = fmt.Errorf("Secret %s: %w", ref, err)
	}
	if err != nil {
		hint := stages.Hint(err)
		if errors.Is(err, stages.ErrNoObject) {
			hint = "add a Secret of that name to the App's file, or to the App's namespace in the cluster"
		}
		return choice, stages.WithHint(fmt.Errorf("buildkit.tls.secretRef: %w", err), "%s", hint)
	}
	return choice, nil
}
