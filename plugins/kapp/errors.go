package kapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

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
	waitFailed  = pattern(`\Awaiting on (reconcile|delete) (` + description + `): (?:Finished waiting unsuccessfully|Errored): ?(.*)\z`)
	waitedLong  = pattern(`\ATimed out waiting after (\S+) for resources: \[?(.*?)\]?\z`)
	appliedLong = pattern(`\ATimed out waiting after (\S+): Last error: (.*)\z`)
	objectLong  = pattern(`\AResource timed out waiting after (\S+)\z`)
	owned       = pattern(`\AResource '(` + description + `)' is already associated with a different app '([^']+)'(?: namespace: (\S+))?`)
	several     = pattern(`[;,] ?((?:create|update|delete|exists|waiting on \w+) ` + description + `: )`)
	describing  = pattern(description)
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
// and what to do. out is what was seen before it; it may be nil.
func (s *session) explain(err error, out *screen) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return s.stoppedWaiting(out)
	}
	if better := s.target.cluster.Explain(err); stages.Hint(better) != "" {
		return better
	}
	reduced := s.reduce(err.Error(), out)
	if apierrors.IsForbidden(err) && stages.Hint(reduced) == "" {
		return stages.WithHint(reduced, "%s", hintForbidden)
	}
	return reduced
}

// stoppedWaiting adds to the end of the context what was being waited for.
func (s *session) stoppedWaiting(out *screen) error {
	err := s.ctx.Err()
	if out == nil {
		return err
	}
	var open []string
	for _, w := range out.pending() {
		text := w.object.String()
		if r := w.reason(); r != "" {
			text += ": " + r
		}
		open = append(open, text)
	}
	if len(open) == 0 {
		return err
	}
	return fmt.Errorf("%w while waiting for %s", err, strings.Join(open, "; "))
}

const hintForbidden = "whoever deploys needs the right named in the message, by a Role or ClusterRole and its binding"

// reduce reads the text of an error.
func (s *session) reduce(text string, out *screen) error {
	if list, ok := list(text); ok {
		errs := make([]error, len(list))
		for i, item := range list {
			errs[i] = s.reduce(item, out)
		}
		return errors.Join(errs...)
	}
	text = flatten(text)
	if m := waitedLong().FindStringSubmatch(text); m != nil {
		return s.timedOut(m[1], m[2], out)
	}
	if m := appliedLong().FindStringSubmatch(text); m != nil {
		return timeoutError{fmt.Sprintf("gave up after %s: %s", m[1], s.reduce(m[2], out))}
	}
	if m := applyFailed().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[2])
		return refused(o, m[1], m[len(m)-1])
	}
	if m := saysServer().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[2])
		return refused(o, m[1], text)
	}
	if m := waitFailed().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[2])
		return s.unhealthy(o, m[1] == "delete", m[len(m)-1])
	}
	if m := owned().FindStringSubmatch(text); m != nil {
		o, _ := parseObject(m[1])
		app := m[6]
		if m[7] != "" {
			app += " in namespace " + m[7]
		}
		return stages.WithHint(fmt.Errorf("%s belongs to the app %s already", o, app),
			"remove it from one of the two apps, or take it over with the raw option --dangerous-override-ownership-of-existing-resources=true")
	}
	return other(text)
}

// list takes errors apart that kapp reports together.
func list(text string) ([]string, bool) {
	for _, title := range []string{"Ownership errors:", "Validation errors:", "Uniqueness errors:", "Disallowed labels errors:"} {
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
	flat := flatten(text)
	inner, ok := strings.CutPrefix(strings.TrimPrefix(flat, "; "), "[")
	if !ok {
		inner = flat
	}
	inner = strings.TrimSuffix(inner, "]")
	at := several().FindAllStringSubmatchIndex(inner, -1)
	if len(at) == 0 {
		return nil, false
	}
	var items []string
	from := 0
	for _, m := range at {
		items = append(items, inner[from:m[0]])
		from = m[2]
	}
	return append(items, inner[from:]), true
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
func (s *session) unhealthy(o object, gone bool, text string) error {
	if m := objectLong().FindStringSubmatch(text); m != nil {
		return timeoutError{fmt.Sprintf("%s isn't ready after %s%s", o, m[1], s.why(o))}
	}
	state := "failed"
	if gone {
		state = "can't be deleted"
	}
	if text == "" {
		return fmt.Errorf("%s %s%s", o, state, s.why(o))
	}
	return fmt.Errorf("%s %s: %s%s", o, state, text, s.why(o))
}

// timedOut says which objects weren't ready in time, and why.
func (s *session) timedOut(limit, objects string, out *screen) error {
	waits := map[object]*wait{}
	if out != nil {
		for _, w := range out.pending() {
			waits[w.object] = w
		}
	}
	var lines []string
	for _, text := range describing().FindAllString(objects, -1) {
		o, _ := parseObject(text)
		w, want, pods := waits[o], "ready", s.why(o)
		if w == nil {
			w = &wait{}
		}
		if w.gone {
			want = "gone"
		}
		reasons := w.own
		if pods == "" {
			reasons = slices.Concat(w.own, w.children)
		}
		line := fmt.Sprintf("%s isn't %s after %s", o, want, limit)
		if len(reasons) > 0 {
			line += ": " + strings.Join(reasons, "; ")
		}
		lines = append(lines, line+pods)
	}
	return stages.WithHint(timeoutError{strings.Join(lines, "\n")},
		"what was applied stays; run again to go on waiting, or give more time with the raw option --wait-timeout=30m")
}

// other is for what isn't about an object.
func other(text string) error {
	if strings.HasPrefix(text, "Trying to apply empty set of resources") {
		return stages.WithHint(errors.New("the manifests hold no object: everything that is deployed would be deleted"),
			"use “strake delete” for that, or the raw option --dangerous-allow-empty-list-of-resources=true")
	}
	if text != "" {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return errors.New(text)
}
