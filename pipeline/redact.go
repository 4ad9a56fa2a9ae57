package pipeline

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/redact"
)

// NewRedactor returns functions for commands without steps that have secrets: hide has a value kept out
// of texts, and clean removes from a text all values that were hidden, as the engine does. Both are
// safe for concurrent use.
func NewRedactor() (hide func(value []byte), clean func(text string) string) {
	r := &redactor{}
	return r.add, r.clean
}

// A redactor removes secrets from texts: the values of every Secret that a step has asked for, passwords in
// URLs, and whatever else becomes known to be secret.
type redactor struct {
	set redact.Set
	// tell is told each value once; nil for nobody.
	tell func(value string)
}

func (r *redactor) add(value []byte) {
	if r.set.Add(value) && r.tell != nil {
		r.tell(strings.TrimSpace(string(value)))
	}
}

// clean cleans a message, which may end with what a program has printed.
func (r *redactor) clean(text string) string { return r.set.CleanMessage(text) }

// redactor returns what removes the secrets of a run: those of the environment, of the file, and those that
// its steps will come to know.
func (p *Plan) redactor(opts Options) *redactor {
	r := &redactor{tell: opts.Secret}
	for _, value := range opts.Secrets {
		r.set.Add(value)
	}
	for _, value := range p.fileSecrets() {
		r.add(value)
	}
	return r
}

// fileSecrets lists what is secret in a file by itself: the Secrets in it, and what the URLs of the
// steps' configurations have of users and passwords.
func (p *Plan) fileSecrets() [][]byte {
	var found [][]byte
	for _, s := range p.file.Secrets {
		for k, v := range s.Values() {
			if !slices.Contains(publicKeys, k) {
				found = append(found, v)
			}
		}
	}
	for _, s := range p.Steps {
		found = append(found, urlSecrets(s.spec.With)...)
	}
	return found
}

func urlSecrets(n *schema.Node) [][]byte {
	if n == nil {
		return nil
	}
	var found [][]byte
	if text := n.Text(); strings.Contains(text, "://") && strings.Contains(text, "@") {
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				found = append(found, []byte(password))
			} else if strings.HasPrefix(u.Scheme, "http") {
				found = append(found, []byte(u.User.Username())) // a token
			}
		}
	}
	for _, p := range n.Pairs() {
		found = append(found, urlSecrets(p.Value)...)
	}
	for _, item := range n.Items() {
		found = append(found, urlSecrets(item)...)
	}
	return found
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
	if e.Type == stages.LogLine {
		e.Message = o.secret.set.CleanLog(e.Message)
	}
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

// minRendered is the length in bytes of the shortest value of a Secret among the manifests that counts:
// templates make Secrets of much that is none.
const minRendered = 8

// manifestSecrets lists the values of the Secrets among manifests: whoever refuses an object may repeat it.
func manifestSecrets(m stages.Manifests) [][]byte {
	var found [][]byte
	for doc := range bytes.SplitSeq(m, []byte("\n---")) {
		if !bytes.Contains(doc, []byte("Secret")) {
			continue
		}
		nodes, err := schema.Parse("", bytes.TrimPrefix(doc, []byte("---")))
		if err != nil {
			continue
		}
		for _, n := range nodes {
			if n.Get("kind").Text() != "Secret" {
				continue
			}
			for _, p := range n.Get("data").Pairs() {
				plain, err := base64.StdEncoding.DecodeString(p.Value.Text())
				if err == nil && len(plain) >= minRendered && !slices.Contains(publicKeys, p.Key) {
					found = append(found, plain)
				}
			}
			for _, p := range n.Get("stringData").Pairs() {
				if text := p.Value.Text(); len(text) >= minRendered && !slices.Contains(publicKeys, p.Key) {
					found = append(found, []byte(text))
				}
			}
		}
	}
	return found
}
