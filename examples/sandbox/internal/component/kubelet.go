package component

import (
	"fmt"

	"strake.dev/strake/examples/sandbox/internal/build"
)

// Kubelet runs the pods of the one real node, through containerd. The node's address is the pod
// network's gateway, as kubelet does not accept a loopback one.
func Kubelet(l *Layout) Component {
	config := l.path("kube", "kubelet.yaml")
	return Component{
		Name:    "kubelet",
		Module:  build.Kube,
		Program: "kube",
		After:   []string{"apiserver", "containerd", "images"},
		Args: []string{
			"kubelet",
			"--config=" + config,
			"--kubeconfig=" + l.Kubeconfig("kubelet"),
			"--root-dir=" + l.path("kubelet"),
			"--cert-dir=" + l.path("kubelet", "pki"),
			"--hostname-override=" + l.Node,
			"--node-ip=" + l.Gateway.String(),
		},
		Files: map[string]string{config: kubeletConfig(l)},
		Dirs:  []string{l.path("kubelet"), l.PodLogs()},
		Ports: []string{PortKubelet},
	}
}

// PodLogs is where the output of containers goes.
func (l *Layout) PodLogs() string { return l.path("logs", "pods") }

// kubeletConfig leaves the host's packet filter and the rest of the host's disk alone, and starts on
// machines with either version of control groups.
func kubeletConfig(l *Layout) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]q
port: %[2]d
healthzPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[3]q}
authorization: {mode: Webhook}
tlsCertFile: %[4]q
tlsPrivateKeyFile: %[5]q
containerRuntimeEndpoint: %[6]q
cgroupDriver: cgroupfs
cgroupRoot: %[7]q
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
serializeImagePulls: false
podLogsDir: %[8]q
volumePluginDir: %[9]q
clusterDomain: cluster.local
nodeStatusUpdateFrequency: 5s
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, imagefs.available: 1%%}
`, l.Gateway.String(), l.Ports[PortKubelet], l.PKI("ca.crt"), l.PKI("kubelet.crt"), l.PKI("kubelet.key"),
		"unix://"+l.containerdSocket(), l.Cgroup, l.PodLogs(), l.path("kube", "volume-plugins"))
}
