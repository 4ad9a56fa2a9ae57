package component

import (
	"encoding/json"
	"fmt"
	"os"

	"strake.dev/strake/examples/sandbox/internal/instance"
)

// Kubeconfig is the file with which a user of that name reaches the API server.
func (l *Layout) Kubeconfig(user string) string { return l.path("kube", user+".kubeconfig") }

// WriteKubeconfigs writes the files of the administrator and of the components. They hold the
// certificates, so that one can be used elsewhere on its own.
func (l *Layout) WriteKubeconfigs() error {
	ca, err := os.ReadFile(l.PKI("ca.crt"))
	if err != nil {
		return err
	}
	for _, user := range []string{"admin", "controller-manager", "scheduler", "kubelet"} {
		cert, err := os.ReadFile(l.PKI(user + ".crt"))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(l.PKI(user + ".key"))
		if err != nil {
			return err
		}
		config, err := kubeconfig(l.Node, l.API(), user, ca, cert, key)
		if err == nil {
			err = instance.WriteFile(l.Kubeconfig(user), config, 0o600)
		}
		if err != nil {
			return fmt.Errorf("write kubeconfig of %s: %w", user, err)
		}
	}
	return nil
}

// kubeconfig is JSON, which is YAML too. Byte slices become base64, as the format wants.
func kubeconfig(cluster, server, user string, ca, cert, key []byte) ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": []object{{"name": cluster, "cluster": object{
			"server": server, "certificate-authority-data": ca,
		}}},
		"users": []object{{"name": user, "user": object{
			"client-certificate-data": cert, "client-key-data": key,
		}}},
		"contexts":        []object{{"name": cluster, "context": object{"cluster": cluster, "user": user}}},
		"current-context": cluster,
	}, "", "  ")
}
