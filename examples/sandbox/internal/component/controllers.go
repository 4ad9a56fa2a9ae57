package component

import "strake.dev/strake/examples/sandbox/internal/build"

// ControllerManager runs the controllers of Kubernetes, alone, so without electing a leader. It
// serves no port: that it works shows in the objects that it makes.
func ControllerManager(l *Layout) Component {
	return Component{
		Name:    "controller-manager",
		Module:  build.Kube,
		Program: "kube",
		After:   []string{"apiserver"},
		Args: []string{
			"controller-manager",
			"--kubeconfig=" + l.Kubeconfig("controller-manager"),
			"--leader-elect=false",
			"--secure-port=0",
			"--use-service-account-credentials=true",
			// The defaults, 20 a second, are for clusters that many share: there tests would wait for them.
			"--kube-api-qps=1000", "--kube-api-burst=1000",
			"--service-account-private-key-file=" + l.PKI("service-accounts.key"),
			"--root-ca-file=" + l.PKI("ca.crt"),
			"--cluster-signing-cert-file=" + l.PKI("ca.crt"), "--cluster-signing-key-file=" + l.PKI("ca.key"),
			// Volume plugins are looked for below this folder, which is otherwise made below /usr.
			"--flex-volume-plugin-dir=" + l.path("kube", "volume-plugins"),
		},
	}
}

// Scheduler chooses the node of each pod.
func Scheduler(l *Layout) Component {
	return Component{
		Name:    "scheduler",
		Module:  build.Kube,
		Program: "kube",
		After:   []string{"apiserver"},
		Args: []string{
			"scheduler",
			"--kubeconfig=" + l.Kubeconfig("scheduler"),
			"--leader-elect=false",
			"--secure-port=0",
		},
	}
}
