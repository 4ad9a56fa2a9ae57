package ssa

import (
	"context"
	"fmt"
	"os"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// childEnv makes the test binary deploy once, in a process that can be killed: it holds the namespace.
const childEnv = "STRAKE_TEST_SSA_CHILD"

// nobody is told nothing.
type nobody struct{}

func (nobody) Observe(stages.Event) {}

// child deploys the manifests on its standard input's file, given by name, into the namespace.
func child() {
	manifests, err := os.ReadFile(os.Getenv(childEnv + "_MANIFESTS"))
	if err == nil {
		s := &step{cluster: kube.New(kube.Options{})}
		s.config.SetDefaults()
		_, err = s.Run(context.Background(), &stages.Job{
			App: stages.App{Name: "app", Namespace: os.Getenv(childEnv)}, Manifests: manifests, Events: nobody{},
			Limits: stages.Limits{MaxPrune: 100, AllowEmpty: true}, Hide: func([]byte) {},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
