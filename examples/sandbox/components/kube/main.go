// Kube is the programs of a Kubernetes cluster in one binary, which acts as the one that its first
// argument names, and as kubectl under that name. They share nearly all their code, so that one binary
// builds and links in the time of the largest of them.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		runKubectl()
	}
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: kube etcd|apiserver|controller-manager|scheduler|kubelet|kubectl [FLAGS]")
		os.Exit(2)
	}
	// Each program reads os.Args and takes its first element for its own name.
	os.Args = os.Args[1:]

	switch os.Args[0] {
	case "etcd":
		etcdmain.Main(os.Args)
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "scheduler":
		run(scheduler.NewSchedulerCommand())
	case "kubelet":
		run(kubelet.NewKubeletCommand(context.Background()))
	case "kubectl":
		runKubectl()
	default:
		fmt.Fprintf(os.Stderr, "kube: unknown program %q\n", os.Args[0])
		os.Exit(2)
	}
}

// runKubectl ends the process as kubectl: its errors have a text and an exit code of their own.
func runKubectl() {
	util.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
	os.Exit(0)
}

// run ends the process with the exit code of a command.
func run(command *cobra.Command) { os.Exit(cli.Run(command)) }
