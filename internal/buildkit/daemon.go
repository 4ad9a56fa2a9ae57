package buildkit

import (
	"context"
	"errors"
	"slices"
	"strings"

	"strake.dev/strake/stages"
)

// A Daemon is a BuildKit daemon, and how to reach it.
type Daemon struct {
	// Address is in a form that [CheckAddress] accepts.
	Address string
	// TLS is for tcp:// addresses, and for ports of pods; nil means that there is none.
	TLS *TLS
}

// String is the address as messages may show it.
func (d Daemon) String() string { return clean(d.Address) }

// A Choice is what an App says about where its sources are built. The zero value says nothing.
type Choice struct {
	// Addresses are those of the daemons. They go before everything else.
	Addresses []string
	// Pods looks for daemons in the cluster; nil unless the App has it.
	Pods *Pods
	// TLS goes before that of [ClientOptions.TLSDir].
	TLS *TLS
	// Namespace is the App's.
	Namespace string
}

const addressHint = "name a daemon with “buildkit: {address: …}” in the App's build stage, with --buildkit-addr, or with " +
	HostVariable + ", in this order; for example unix:///run/buildkit/buildkitd.sock"

// Daemons returns the daemons to build with: those that the App chooses, else those that the client
// was given, else those of BUILDKIT_HOST, else those that run as pods in the cluster. Only for the last
// it asks anybody, and doesn't take long even if nobody answers; then it tells events what it found.
func (c *Client) Daemons(ctx context.Context, app Choice, events stages.Observer) ([]Daemon, error) {
	tls := app.TLS
	if tls == nil {
		var err error
		if tls, err = c.tls(); err != nil {
			return nil, err
		}
	}
	addresses, err := c.addresses(app)
	if err != nil {
		return nil, err
	}
	if addresses == nil {
		if addresses, err = c.discover(ctx, app); err != nil {
			return nil, err
		}
		stages.Log(events, "BuildKit found in the cluster: "+strings.Join(addresses, ", "))
	}
	var daemons []Daemon
	for _, address := range addresses {
		if !slices.ContainsFunc(daemons, func(d Daemon) bool { return d.Address == address }) {
			daemons = append(daemons, Daemon{Address: address, TLS: tls})
		}
	}
	return daemons, nil
}

// addresses are those that somebody has named; nil if nobody has.
func (c *Client) addresses(app Choice) ([]string, error) {
	if len(app.Addresses) > 0 {
		return app.Addresses, errors.Join(each(app.Addresses, CheckAddress)...)
	}
	if app.Pods != nil {
		return nil, nil
	}
	for _, list := range []string{c.opts.Address, c.opts.Getenv(HostVariable)} {
		if list != "" {
			return ParseAddresses(list)
		}
	}
	return nil, nil
}

func each[T any](list []T, f func(T) error) []error {
	errs := make([]error, len(list))
	for i, v := range list {
		errs[i] = f(v)
	}
	return errs
}
