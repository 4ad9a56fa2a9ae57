package component

import (
	"fmt"
	"net/netip"

	"strake.dev/strake/examples/sandbox/internal/pki"
)

// IssueCertificates makes the instance's authorities, certificates and keys, as far as they are not
// there or certify something else.
func (l *Layout) IssueCertificates() error {
	loopback := netip.MustParseAddr("127.0.0.1")
	local := func(user string) pki.Subject {
		return pki.Subject{Name: user, Names: []string{"localhost"}, Addresses: []netip.Addr{loopback}}
	}
	apiserver := pki.Subject{
		Name: "kube-apiserver",
		Names: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		Addresses: []netip.Addr{loopback, ServiceAddress(), l.Gateway},
	}
	masters := []string{"system:masters"}
	authorities := map[string]map[string]pki.Subject{
		// The cluster's own.
		l.path("pki"): {
			"apiserver":          apiserver,
			"apiserver-kubelet":  {Name: "kube-apiserver", Organizations: masters},
			"admin":              {Name: "admin", Organizations: masters},
			"controller-manager": {Name: "system:kube-controller-manager"},
			"scheduler":          {Name: "system:kube-scheduler"},
			"kubelet": {
				Name: "system:node:" + l.Node, Organizations: []string{"system:nodes"},
				Names: []string{l.Node}, Addresses: []netip.Addr{l.Gateway},
			},
		},
		// Certificates that the cluster signs on request must not open etcd, nor speak for users to
		// extension API servers, so those have authorities of their own.
		l.path("pki", "etcd"):        {"server": local("etcd"), "client": {Name: "kube-apiserver"}},
		l.path("pki", "front-proxy"): {"client": {Name: "front-proxy"}},
	}
	for dir, subjects := range authorities {
		authority, err := pki.OpenAuthority(dir, "ca")
		if err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
		for name, subject := range subjects {
			if err := authority.Issue(name, subject); err != nil {
				return fmt.Errorf("certificates: %w", err)
			}
		}
	}
	return pki.SigningKey(l.path("pki"), "service-accounts")
}
