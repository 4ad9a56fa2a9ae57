package ssa

import (
	"slices"
	"strings"

	fluxssa "github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The objects of a rank are written at the same time, those of a higher one after it; they are deleted
// the other way round.
const (
	// rankDefinitions are types, namespaces, classes and cluster roles, which others need.
	rankDefinitions = iota
	// rankConfiguration is what pods need: accounts, rights, ConfigMaps, Secrets, Services…
	rankConfiguration
	// rankBuiltin are all other objects of Kubernetes' own types.
	rankBuiltin
	// rankCustom are objects of other types. What reconciles them may be among the manifests, and must be
	// there still when they are deleted.
	rankCustom
	// rankWebhooks are admission webhooks: nothing else can be written when they are there and don't work.
	rankWebhooks
	ranks
)

// lastConfiguration is the last kind in the library's order of which pods may need objects.
const lastConfiguration = "LimitRange"

// rank is the place of a type in the order.
func rank(gk schema.GroupKind) int {
	order := fluxssa.ReconcileOrder
	builtin := !strings.Contains(gk.Group, ".") || strings.HasSuffix(gk.Group, ".k8s.io")
	switch n := slices.Index(order.First, gk.Kind); {
	case gk.Kind == "CustomResourceDefinition", gk.Kind == "Namespace", gk.Kind == "ClusterRole", strings.HasSuffix(gk.Kind, "Class"):
		return rankDefinitions
	case slices.Contains(order.Last, gk.Kind), strings.HasPrefix(gk.Kind, "ValidatingAdmissionPolicy"), strings.HasPrefix(gk.Kind, "MutatingAdmissionPolicy"):
		return rankWebhooks
	case n >= 0 && n <= slices.Index(order.First, lastConfiguration):
		return rankConfiguration
	case builtin:
		return rankBuiltin
	}
	return rankCustom
}

// byRank splits a list by the ranks of its objects.
func byRank[T any](all []T, of func(T) id) [ranks][]T {
	var split [ranks][]T
	for _, one := range all {
		r := rank(of(one).GroupKind)
		split[r] = append(split[r], one)
	}
	return split
}
