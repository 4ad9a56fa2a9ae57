package buildkit

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/moby/buildkit/util/entitlements"

	"strake.dev/strake/stages"
)

// EntitlementFlag is the flag by which a user allows an entitlement.
const EntitlementFlag = "--allow-entitlement"

// The networks that RUN can have.
const (
	networkDefault = "default"
	networkNone    = "none"
	networkHost    = "host"
)

// network is the network of RUN; empty is the default one.
func (o Options) network() string {
	if o.Network == networkDefault {
		return ""
	}
	return o.Network
}

// shmSize is the size of /dev/shm; empty is the daemon's own.
func (o Options) shmSize() string {
	if o.ShmSize == 0 {
		return ""
	}
	return strconv.FormatInt(o.ShmSize, 10)
}

// entitlements lists, sorted, the rights that a build needs.
func (o Options) entitlements() []string {
	list := slices.Clone(o.Entitlements)
	if o.Network == networkHost {
		list = append(list, entitlements.EntitlementNetworkHost.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Permits tells whether the caller allows everything that the options ask for: rights that a build has
// on the daemon's machine, which an App from elsewhere must not take for itself. It asks nobody.
func (c *Client) Permits(o Options) error {
	for _, e := range o.entitlements() {
		if _, _, err := entitlements.Parse(e); err != nil {
			return stages.WithHint(fmt.Errorf("entitlement %q: there is none of that name", e), "BuildKit has %s and %s",
				entitlements.EntitlementNetworkHost, entitlements.EntitlementSecurityInsecure)
		}
		if !slices.Contains(c.opts.AllowEntitlements, e) {
			return stages.WithHint(fmt.Errorf("the build asks for the entitlement %s, which is not allowed", e),
				"if you trust the source, allow it with %s %s", EntitlementFlag, e)
		}
	}
	return nil
}
