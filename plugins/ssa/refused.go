package ssa

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	ssaerrors "github.com/fluxcd/pkg/ssa/errors"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

const hintForbidden = "whoever deploys needs the right named in the message, by a Role or ClusterRole and its binding"

// selfNamed is how the server begins an error about an object that is named anyway.
var selfNamed = regexp.MustCompile(`\A[A-Za-z0-9.]+ "[^"]+" is (invalid: |forbidden: )`)

// refused says that the API server didn't do what was to be done with an object: done is the participle.
func (s *session) refused(i *item, done string, err error) error {
	if err == nil {
		return nil
	}
	if err = stopped(s.ctx, s.place.Cluster.Explain(err)); s.ctx.Err() != nil || stages.Hint(err) != "" {
		return err
	}
	text, hint := selfNamed.ReplaceAllString(err.Error(), ""), ""
	switch {
	case conflict(err) != "":
		text, hint = conflict(err), "leave these fields out of the manifests (driftIgnore), or take them over: “conflicts: force”"
	case ssaerrors.IsImmutableError(err):
		hint = "delete the object first, or have it made anew: “force: true”"
	case apierrors.IsForbidden(err):
		hint = hintForbidden
	case strings.Contains(text, "denied the request"):
		hint = "an admission policy of the cluster refuses it: change the manifest or ask whoever runs the policy"
	case strings.Contains(text, "failed calling webhook"):
		hint = "an admission webhook of the cluster doesn't answer: see “kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations”"
	case strings.Contains(text, "field not declared in schema"):
		hint = "is a field misspelt, or of another version of the type?"
	}
	err = &refusal{text: fmt.Sprintf("%s can't be %s: %s", i.name(), done, text), cause: err}
	if hint == "" {
		return err
	}
	return stages.WithHint(err, "%s", hint)
}

// A refusal is the server's, in other words.
type refusal struct {
	text  string
	cause error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.cause }

// conflict says which fields are owned by whom, of an error that is about that; otherwise it is empty.
func conflict(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return ""
	}
	var parts []string
	for _, c := range status.Status().Details.Causes {
		if c.Type == metav1.CauseTypeFieldManagerConflict {
			parts = append(parts, fmt.Sprintf("%s (%s)", c.Field, strings.TrimPrefix(c.Message, "conflict with ")))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "others own fields that the manifests set otherwise: " + strings.Join(parts, ", ")
}
