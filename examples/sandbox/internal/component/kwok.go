package component

import "strake.dev/strake/examples/sandbox/internal/build"

// Kwok plays the node and its pods: they become Ready, and nothing runs. Stages says how, and comes
// from "kwok stages".
func Kwok(l *Layout, stages string) Component {
	config := l.path("kube", "kwok.yaml")
	return Component{
		Name:    "kwok",
		Module:  build.Kwok,
		Program: "kwok",
		After:   []string{"apiserver"},
		Args: []string{
			"--config=" + config,
			"--kubeconfig=" + l.Kubeconfig("admin"),
			"--manage-all-nodes=true",
			"--node-ip=" + l.Gateway.String(),
			"--cidr=" + l.Pods.String(),
			"--node-lease-duration-seconds=40",
		},
		Files: map[string]string{config: stages},
	}
}
