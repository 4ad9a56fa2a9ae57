package kapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ctlcap "carvel.dev/kapp/pkg/kapp/clusterapply"
	ctlres "carvel.dev/kapp/pkg/kapp/resources"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/internal/why"
	"strake.dev/strake/stages"
)

// kapp's library puts what happened into texts of nested clauses, such as
//
//	update deployment/web (apps/v1) namespace: x: Updating resource deployment/web (apps/v1)
//	namespace: x: API server says: Deployment.apps "web" is invalid: …: field is immutable (reason: Invalid)
//
// The types of the errors inside are lost, so the texts are read.
var (
	applyFailed = pattern(`\A(create|update|delete|exists) (` + description + `): (.*)\z`)
	saysServer  = pattern(`\A(Creating|Updating|Deleting|Getting|Patching|Checking existence of) resource (` + description + `): API server says: (.*?) ?\(reason: (\w*)\)(?: \(hint: (.*)\))?\z`)
	selfNamed   = pattern(`\A[A-Za-z0-9.]+ "[^"]+" is (invalid: |forbidden: )`)
	rejected    = pattern(`: Invalid value: .*?: field is immutable`)
	bullet      = pattern(`\s*\n\s*-\s+`)
	bulletBegin = pattern(`\A(?:[A-Za-z0-9_.\[\]"/-]+: |` + description + `)`)
)

// flatten puts a text of several lines and bullets into one line. The library makes bullets of what
// was separated by commas, also where the comma was within a sentence.
func flatten(text string) string {
	var b strings.Builder
	for i, item := range bullet().Split(plain(text), -1) {
		item = strings.Join(strings.Fields(item), " ")
		switch {
		case i == 0:
		case strings.HasSuffix(b.String(), ":"):
			b.WriteString(" ")
		case bulletBegin().MatchString(item):
			b.WriteString("; ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(item)
	}
	return b.String()
}

// A timeoutError says that kapp's own limit on waiting has passed.
type timeoutError struct{ text string }

func (e timeoutError) Error() string { return e.text }

// Unwrap makes the error count as a time-out.
func (e timeoutError) Unwrap() error { return context.DeadlineExceeded }

// explain turns an error of kapp's library into what a user wants to know: the object, the reason,
// and what to do.
func (s *session) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	}
	if better := s.target.cluster.Explain(err); stages.Hint(better) != "" {
		return better
	}
	if _, told := errors.AsType[timeoutError](err); told {
		return err
	}
	reduced := s.reduce(err.Error())
	if apierrors.IsForbidden(err) && stages.Hint(reduced) == "" {
		return stages.WithHint(reduced, "%s", hintForbidden)
	}
	return reduced
}

// interrupted adds to the end of the context what was being waited for.
func (s *session) interrupted(tracked map[*change]*tracking) error {
	err := context.Cause(s.ctx)
	var open []string
	for c, t := range tracked {
		text := c.object().String()
		if r := reason(t.messages); r != "" {
			text += ": " + r
		}
		open = append(open, text)
	}
	if len(open) == 0 {
		return err
	}
	slices.Sort(open)
	return fmt.Errorf("%w while waiting for %s", err, strings.Join(open, "; "))
}

const hintForbidden = "whoever deploys needs the right named in the message, by a Role or ClusterRole and its binding"

// reduce reads the text of an error.
func (s *session) reduce(text string) error {
	if list, ok := list(text); ok {
		errs := make([]error, len(list))
		for i, item := range list {
			errs[i] = s.reduce(item)
		}
		return errors.Join(errs...)
	}
	text = flatten(text)
	if m := applyFailed().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[2])
		return refused(o, m[1], m[len(m)-1])
	}
	if m := saysServer().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[2])
		return refused(o, m[1], text)
	}
	return other(text)
}

// list takes errors apart that kapp reports together.
func list(text string) ([]string, bool) {
	for _, title := range []string{"Validation errors:", "Uniqueness errors:"} {
		if rest, ok := strings.CutPrefix(text, title); ok {
			var items []string
			for item := range strings.SplitSeq(rest, "\n- ") {
				if item = strings.TrimSpace(item); item != "" {
					items = append(items, item)
				}
			}
			return items, len(items) > 0
		}
	}
	return nil, false
}

// participles are of what kapp was doing, by its own words.
var participles = map[string]string{
	"create": "created", "update": "updated", "delete": "deleted", "exists": "found",
	"Creating": "created", "Updating": "updated", "Deleting": "deleted", "Patching": "updated",
	"Getting": "read", "Checking existence of": "read",
}

// refused says that the API server didn't do what was to be done with an object.
func refused(o object, op, text string) error {
	reason, hint := text, ""
	if m := saysServer().FindStringSubmatch(text); m != nil {
		text, reason, hint = m[7], m[8], m[9]
	}
	text = rejected().ReplaceAllString(selfNamed().ReplaceAllString(text, ""), ": field is immutable")
	switch {
	case strings.Contains(text, "field is immutable"):
		hint = "delete the object first, or let kapp replace it: annotation kapp.k14s.io/update-strategy: fallback-on-replace"
	case strings.Contains(text, "denied the request"):
		hint = "an admission policy of the cluster refuses it: change the manifest or ask whoever runs the policy"
	case reason == "Forbidden" && strings.Contains(text, "cannot "):
		hint = hintForbidden
	case strings.Contains(text, "approved diff no longer matches"):
		hint = "somebody else changed the object meanwhile; run again"
	}
	err := fmt.Errorf("%s can't be %s: %s", o, participles[op], text)
	if hint == "" {
		return err
	}
	return stages.WithHint(err, "%s", hint)
}

// unhealthy says that an object didn't become what was waited for.
func (s *session) unhealthy(c *change, text string) error {
	what := fmt.Sprintf("%s failed", c.object())
	if c.ApplyOp() == ctlcap.ClusterChangeApplyOpDelete {
		what = fmt.Sprintf("%s can't be deleted", c.object())
	}
	if text != "" {
		what += ": " + text
	}
	return errors.New(what + s.why(c.Resource()))
}

// late says which objects weren't ready in time, and why.
func (s *session) late(limit time.Duration, tracked map[*change]*tracking) error {
	var lines []string
	for c, t := range tracked {
		want := "ready"
		if c.ApplyOp() == ctlcap.ClusterChangeApplyOpDelete {
			want = "gone"
		}
		line := fmt.Sprintf("%s isn't %s after %s", c.object(), want, limit)
		own, below := reasons(t.messages)
		more := s.why(c.Resource())
		if more == "" {
			own = append(own, below...)
		}
		if len(own) > 0 {
			line += ": " + strings.Join(own, "; ")
		}
		lines = append(lines, line+more)
	}
	slices.Sort(lines)
	return stages.WithHint(timeoutError{strings.Join(lines, "\n")},
		"what was applied stays; run again to go on waiting, or give more time with --object-timeout or the raw option --wait-timeout=30m")
}

// why finds out the reason of an object's trouble. It returns a text to add to an error, and an empty
// one if there is nothing to tell or it may not be read.
func (s *session) why(r ctlres.Resource) string {
	t, err := s.clients.types.Find(r)
	if err != nil {
		return ""
	}
	live, err := s.clients.dynamic.Resource(t.GroupVersionResource).Namespace(r.Namespace()).Get(s.ctx, r.Name(), metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return why.Trouble(s.ctx, s.clients.core, live)
}

// other is for what isn't about an object.
func other(text string) error {
	if text != "" {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return errors.New(text)
}
