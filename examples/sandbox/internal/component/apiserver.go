package component

import (
	"context"
	"fmt"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/health"
	"strake.dev/strake/examples/sandbox/internal/kubeapi"
)

// APIServer is the Kubernetes API server, with RBAC and an audit log of all writes.
func APIServer(l *Layout) Component {
	policy := l.path("kube", "audit-policy.yaml")
	return Component{
		Name:    "apiserver",
		Module:  build.Kube,
		Program: "kube",
		After:   []string{"etcd"},
		Args: []string{
			"apiserver",
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", l.Ports[PortAPI]),
			"--advertise-address=" + l.Gateway.String(),
			// The service "kubernetes" has no endpoint on loopback; the pod network's rules lead its
			// address to the server.
			"--endpoint-reconciler-type=none",
			"--etcd-servers=https://" + l.local(PortEtcd), "--etcd-cafile=" + l.etcdPKI("ca.crt"),
			"--etcd-certfile=" + l.etcdPKI("client.crt"), "--etcd-keyfile=" + l.etcdPKI("client.key"),
			"--client-ca-file=" + l.PKI("ca.crt"),
			"--tls-cert-file=" + l.PKI("apiserver.crt"), "--tls-private-key-file=" + l.PKI("apiserver.key"),
			"--service-cluster-ip-range=" + serviceNetwork,
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + l.PKI("service-accounts.pub"),
			"--service-account-signing-key-file=" + l.PKI("service-accounts.key"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--kubelet-client-certificate=" + l.PKI("apiserver-kubelet.crt"),
			"--kubelet-client-key=" + l.PKI("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + l.PKI("ca.crt"),
			// The node's name does not resolve.
			"--kubelet-preferred-address-types=InternalIP",
			// Extension API servers in pods are called at their pods' addresses, which the host reaches;
			// addresses of services it doesn't.
			"--enable-aggregator-routing=true",
			"--requestheader-client-ca-file=" + l.frontProxyPKI("ca.crt"), "--requestheader-allowed-names=front-proxy",
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + l.frontProxyPKI("client.crt"), "--proxy-client-key-file=" + l.frontProxyPKI("client.key"),
			"--audit-policy-file=" + policy, "--audit-log-path=" + l.AuditLog(),
			"--audit-log-maxsize=200", "--audit-log-maxbackup=1",
			"--profiling=false",
		},
		Files: map[string]string{policy: auditPolicy},
		Dirs:  []string{l.path("logs")},
		Ports: []string{PortAPI},
		Ready: func(ctx context.Context) error {
			c, err := l.Client()
			if err != nil {
				return err
			}
			defer c.HTTP.CloseIdleConnections()
			return health.HTTP(ctx, c.HTTP, l.API()+"/readyz")
		},
	}
}

// auditPolicy records every request but those that can't change anything.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Metadata
`

// PKI is a file of the cluster's certificates and keys.
func (l *Layout) PKI(name string) string { return l.path("pki", name) }

func (l *Layout) frontProxyPKI(name string) string { return l.path("pki", "front-proxy", name) }

// Client returns a client of the API server with the administrator's rights.
func (l *Layout) Client() (*kubeapi.Client, error) {
	return kubeapi.New(l.API(), l.PKI("ca.crt"), l.PKI("admin.crt"), l.PKI("admin.key"))
}
