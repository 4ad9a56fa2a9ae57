// Package access tells beforehand which rights a deploy lacks, so that it fails before its first write
// instead of half way, and names all of them at once.
package access

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorization "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// parallel is how many questions are under way at a time.
const parallel = 8

// A Need is a right that something takes. An empty Namespace is that of cluster-scoped resources, an
// empty Name any.
type Need struct {
	Verb, Group, Resource, Namespace, Name string
}

// String names the right for people, as in “patch deployments.apps/web in namespace team”.
func (n Need) String() string {
	s := n.Verb + " " + n.Resource
	if n.Group != "" {
		s += "." + n.Group
	}
	if n.Name != "" {
		s += "/" + n.Name
	}
	if n.Namespace != "" {
		s += " in namespace " + n.Namespace
	}
	return s
}

// Missing returns those needs that the server denies, in the order they were given. It asks for the
// rules of each namespace, one request, and then singly for what they don't allow, as a server may allow
// more than it lists. An identity that may not even ask can't tell: then nothing is missing.
func Missing(ctx context.Context, client kubernetes.Interface, needs []Need) ([]Need, error) {
	api := client.AuthorizationV1()
	lists := map[string][]authorization.ResourceRule{}
	for _, n := range needs {
		if n.Namespace != "" {
			// For cluster-scoped resources there is no such list: that of a namespace mixes rules that hold
			// everywhere with those that hold there only.
			lists[n.Namespace] = nil
		}
	}
	namespaces := slices.Collect(maps.Keys(lists))
	found := make([][]authorization.ResourceRule, len(namespaces))
	err := each(ctx, len(namespaces), func(ctx context.Context, i int) (err error) {
		found[i], err = rules(ctx, api, namespaces[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, namespace := range namespaces {
		lists[namespace] = found[i]
	}
	var open []Need
	for _, n := range needs {
		if !allowed(lists[n.Namespace], n) && !slices.Contains(open, n) {
			open = append(open, n)
		}
	}
	denied := make([]bool, len(open))
	err = each(ctx, len(open), func(ctx context.Context, i int) (err error) {
		denied[i], err = denies(ctx, api, open[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing []Need
	for i, n := range open {
		if denied[i] {
			missing = append(missing, n)
		}
	}
	return missing, nil
}

// each asks n questions, several at a time.
func each(ctx context.Context, n int, ask func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range n {
		group.Go(func() error { return ask(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("rights in the cluster: %w", err)
	}
	return nil
}

// rules returns what the server says is allowed in a namespace.
func rules(ctx context.Context, api typed.AuthorizationV1Interface, namespace string) ([]authorization.ResourceRule, error) {
	review, err := api.SelfSubjectRulesReviews().Create(ctx, &authorization.SelfSubjectRulesReview{
		Spec: authorization.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return review.Status.ResourceRules, nil
}

// denies asks for a single right.
func denies(ctx context.Context, api typed.AuthorizationV1Interface, n Need) (bool, error) {
	resource, sub, _ := strings.Cut(n.Resource, "/")
	review, err := api.SelfSubjectAccessReviews().Create(ctx, &authorization.SelfSubjectAccessReview{
		Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorization.ResourceAttributes{
			Verb: n.Verb, Group: n.Group, Resource: resource, Subresource: sub, Namespace: n.Namespace, Name: n.Name,
		}},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return false, nil
	case err != nil:
		return false, err
	}
	// An authorizer that has failed has no say; the request itself will tell.
	return review.Status.Denied || !review.Status.Allowed && review.Status.EvaluationError == "", nil
}

// allowed tells whether one of the rules gives the right.
func allowed(rules []authorization.ResourceRule, n Need) bool {
	return slices.ContainsFunc(rules, func(r authorization.ResourceRule) bool {
		return names(r.Verbs, n.Verb) && names(r.APIGroups, n.Group) && resource(r.Resources, n.Resource) &&
			(len(r.ResourceNames) == 0 || n.Name != "" && slices.Contains(r.ResourceNames, n.Name))
	})
}

func names(list []string, what string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, what)
}

// resource also knows the rules' form */SUBRESOURCE.
func resource(list []string, what string) bool {
	if names(list, what) {
		return true
	}
	_, sub, ok := strings.Cut(what, "/")
	return ok && slices.Contains(list, "*/"+sub)
}
