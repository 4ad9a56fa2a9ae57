package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"strake.dev/strake/stages"
)

// WithKubeconfig returns the cluster of a kubeconfig that isn't the user's own, such as one from a
// Secret, to be talked to as c is. It may only hold data: what would run a program or read a file of this machine is refused,
// so that nobody who may write the Secret gets at either. origin names it in messages.
func (c *Cluster) WithKubeconfig(data []byte, origin string) (*Cluster, error) {
	raw, err := clientcmd.Load(data)
	if err != nil {
		// The library's error may quote the text, which holds credentials.
		return nil, fmt.Errorf("%s is not a valid kubeconfig", origin)
	}
	if err := onlyData(raw, origin); err != nil {
		return nil, err
	}
	a, err := fromConfig(raw, "", origin)
	if err != nil {
		return nil, err
	}
	return newCluster(c.opts, func() (access, error) { return a, nil }), nil
}

func onlyData(raw *api.Config, origin string) error {
	var refused []string
	refuse := func(where, field, value string) {
		if value != "" {
			refused = append(refused, where+": "+field)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(raw.Clusters)) {
		refuse("cluster "+name, "certificate-authority", raw.Clusters[name].CertificateAuthority)
	}
	for _, name := range slices.Sorted(maps.Keys(raw.AuthInfos)) {
		user := raw.AuthInfos[name]
		where := "user " + name
		refuse(where, "client-certificate", user.ClientCertificate)
		refuse(where, "client-key", user.ClientKey)
		refuse(where, "tokenFile", user.TokenFile)
		if user.Exec != nil {
			refuse(where, "exec", "set")
		}
		if user.AuthProvider != nil {
			refuse(where, "auth-provider", "set")
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return stages.WithHint(
		fmt.Errorf("%s may not run programs or read files of this machine: %s", origin, strings.Join(refused, "; ")),
		"put the data itself into it: certificate-authority-data, client-certificate-data, client-key-data or token")
}
