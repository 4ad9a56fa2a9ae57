package pipeline

import (
	"cmp"
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A redactor removes secrets from texts: the values of every Secret that a step has asked for, also
// in base64, and passwords in URLs.
type redactor struct {
	mu     sync.RWMutex
	values []string
	// tell is told each value once; nil for nobody.
	tell func(value string)
}

// NewRedactor returns functions for commands without steps that have secrets: hide has a value kept out
// of texts, and clean removes from a text all values that were hidden, as the engine does. Both are
// safe for concurrent use.
func NewRedactor() (hide func(value []byte), clean func(text string) string) {
	r := &redactor{}
	return r.add, r.clean
}

// Values shorter than minSecret are left alone: they would be found in any text.
const minSecret = 4

const redacted = "***"

var urlUserinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@`)

func (r *redactor) add(value []byte) {
	text := strings.TrimSpace(string(value))
	if len(text) < minSecret {
		return
	}
	add := []string{text, base64.StdEncoding.EncodeToString(value), base64.RawURLEncoding.EncodeToString(value)}
	// A key file may come out line by line.
	const minLine = 12
	if lines := strings.Split(text, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= minLine {
				add = append(add, line)
			}
		}
	}
	add = append(add, leaves(value)...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tell != nil && !slices.Contains(r.values, text) {
		r.tell(text)
	}
	r.values = append(r.values, add...)
	// The longest first, so that a secret which contains another one leaves no rest.
	slices.SortFunc(r.values, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	r.values = slices.Compact(r.values)
}

// leaves lists the strings in a value that is itself YAML, such as data values. Shorter ones than
// minLeaf are mostly names that appear everywhere.
func leaves(value []byte) []string {
	const minLeaf = 8
	var found []string
	docs, err := schema.Parse("", value)
	if err != nil {
		return nil
	}
	var walk func(n *schema.Node)
	walk = func(n *schema.Node) {
		if text := n.Text(); len(text) >= minLeaf {
			found = append(found, text)
		}
		for _, p := range n.Pairs() {
			walk(p.Value)
		}
		for _, item := range n.Items() {
			walk(item)
		}
	}
	for _, doc := range docs {
		walk(doc)
	}
	return found
}

func (r *redactor) clean(text string) string {
	if text == "" {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, v := range r.values {
		text = strings.ReplaceAll(text, v, redacted)
	}
	return urlUserinfo.ReplaceAllString(text, "${1}"+redacted+"@")
}

// A cleanError is an error whose text holds no secret.
type cleanError struct {
	err  error
	text string
}

func (e *cleanError) Error() string { return e.text }

func (e *cleanError) Unwrap() error { return e.err }

// cleanError returns an error like err whose text and advice hold no secret.
func (r *redactor) cleanError(err error) error {
	clean := error(&cleanError{err: err, text: r.clean(err.Error())})
	if hint := stages.Hint(err); hint != "" {
		clean = stages.WithHint(clean, "%s", r.clean(hint))
	}
	return clean
}

// An observer gives events their time and step, and removes secrets, before anybody else sees them.
type observer struct {
	to     stages.Observer
	secret *redactor
	step   string
	stage  stages.Stage
}

func (o observer) Observe(e stages.Event) {
	e.Time, e.Step, e.Stage = time.Now(), o.step, o.stage
	e.Message, e.Error, e.Hint = o.secret.clean(e.Message), o.secret.clean(e.Error), o.secret.clean(e.Hint)
	if e.Task != nil {
		t := *e.Task
		t.Name, t.Detail = o.secret.clean(t.Name), o.secret.clean(t.Detail)
		e.Task = &t
	}
	if e.Change != nil {
		c := *e.Change
		c.Name, c.Reason, c.Diff = o.secret.clean(c.Name), o.secret.clean(c.Reason), o.secret.clean(c.Diff)
		c.Images = slices.Clone(c.Images)
		for i, image := range c.Images {
			c.Images[i] = stages.ImageChange{From: o.secret.clean(image.From), To: o.secret.clean(image.To)}
		}
		e.Change = &c
	}
	if e.Image != nil {
		i := *e.Image
		i.From, i.To, i.Reason = o.secret.clean(i.From), o.secret.clean(i.To), o.secret.clean(i.Reason)
		i.Changed = slices.Clone(i.Changed)
		for n, text := range i.Changed {
			i.Changed[n] = o.secret.clean(text)
		}
		e.Image = &i
	}
	o.to.Observe(e)
}

// objects finds Secrets and ConfigMaps in the App's file, then in the cluster, and has the values of
// Secrets kept out of all texts.
type objects struct {
	secrets    map[string]map[string][]byte
	configMaps map[string]map[string][]byte
	cluster    stages.Objects
	redactor   *redactor
}

// Keys of Secrets whose values are no secrets, and would make texts unreadable when removed.
var publicKeys = []string{"username", "ssh-knownhosts", "ca.crt"}

func (o *objects) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	data, ok := o.secrets[name]
	if !ok {
		var err error
		if data, err = o.cluster.Secret(ctx, name); err != nil {
			return nil, err
		}
	}
	for k, v := range data {
		if !slices.Contains(publicKeys, k) {
			o.redactor.add(v)
		}
	}
	return data, nil
}

func (o *objects) ConfigMap(ctx context.Context, name string) (map[string][]byte, error) {
	if data, ok := o.configMaps[name]; ok {
		return data, nil
	}
	return o.cluster.ConfigMap(ctx, name)
}
