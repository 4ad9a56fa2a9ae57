package component

import (
	"context"

	"strake.dev/strake/examples/sandbox/internal/build"
	"strake.dev/strake/examples/sandbox/internal/health"
	"strake.dev/strake/examples/sandbox/internal/kubeapi"
)

// Etcd keeps the cluster's objects. Only the API server's certificate opens it: whoever reaches it
// unasked owns the cluster. It does not wait for the disk, as a sandbox need not survive a power cut.
func Etcd(l *Layout) Component {
	client, peer := "https://"+l.local(PortEtcd), "https://"+l.local(PortEtcdPeer)
	return Component{
		Name:    "etcd",
		Module:  build.Kube,
		Program: "kube",
		Args: []string{
			"etcd", "--name=sandbox",
			"--data-dir=" + l.path("etcd"),
			"--unsafe-no-fsync",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=sandbox=" + peer,
			"--client-cert-auth", "--trusted-ca-file=" + l.etcdPKI("ca.crt"),
			"--cert-file=" + l.etcdPKI("server.crt"), "--key-file=" + l.etcdPKI("server.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + l.etcdPKI("ca.crt"),
			"--peer-cert-file=" + l.etcdPKI("server.crt"), "--peer-key-file=" + l.etcdPKI("server.key"),
			// Keeps five minutes of history, so that the data does not grow with every write for ever.
			"--auto-compaction-retention=5m",
			"--log-level=warn",
		},
		Ports: []string{PortEtcd, PortEtcdPeer},
		Ready: func(ctx context.Context) error {
			c, err := kubeapi.New(client, l.etcdPKI("ca.crt"), l.etcdPKI("client.crt"), l.etcdPKI("client.key"))
			if err != nil {
				return err
			}
			defer c.HTTP.CloseIdleConnections()
			return health.HTTP(ctx, c.HTTP, client+"/health")
		},
	}
}

func (l *Layout) etcdPKI(name string) string { return l.path("pki", "etcd", name) }
