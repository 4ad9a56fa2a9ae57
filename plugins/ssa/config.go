package ssa

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/fluxcd/pkg/ssa/jsondiff"
	"github.com/go-openapi/jsonpointer"
	"k8s.io/apimachinery/pkg/labels"

	"strake.dev/strake/schema"
)

// Config is the configuration of a deploy entry.
type Config struct {
	// Prune deletes objects that are no longer in the manifests. Without it they stay, and stay in the
	// inventory.
	Prune bool `json:"prune,omitempty"`
	// Force deletes and makes anew objects of which a field was changed that can't be changed.
	Force bool `json:"force,omitempty"`
	// Wait waits until all objects are ready, and pruned ones gone.
	Wait bool `json:"wait,omitempty"`
	// WaitTimeout is how long all of the waiting may take.
	WaitTimeout time.Duration `json:"waitTimeout,omitempty"`
	// FieldManager is the name under which fields are owned.
	FieldManager string `json:"fieldManager,omitempty"`
	// Conflicts says what becomes of fields that somebody else owns and the manifests set otherwise:
	// force takes them over, fail is an error before anything is written.
	Conflicts string `json:"conflicts,omitempty" enum:"force,fail"`
	// TakeOver takes over objects that belong to another inventory or to an app of kapp.
	TakeOver bool `json:"takeOver,omitempty"`
	// CreateNamespace makes the namespace of the inventory if it isn't there. It isn't deleted with the app.
	CreateNamespace bool `json:"createNamespace,omitempty"`
	// DriftIgnore names fields that others set: they are written when an object is made, and left alone
	// from then on.
	DriftIgnore []DriftIgnore `json:"driftIgnore,omitempty"`
}

// DriftIgnore names fields of some objects.
type DriftIgnore struct {
	// Paths are JSON pointers, such as /spec/replicas.
	Paths []string `json:"paths" required:"true"`
	// Target selects objects; default: all.
	Target *Target `json:"target,omitempty"`
}

// Target selects objects by all that it says. Group, version, kind, name and namespace are regular
// expressions for the whole text.
type Target struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
}

const (
	defaultManager = "strake"
	forceConflicts = "force"
	defaultTimeout = 15 * time.Minute // kapp's
)

// SetDefaults sets what a user without wishes wants.
func (c *Config) SetDefaults() {
	c.Prune, c.Wait, c.WaitTimeout, c.FieldManager, c.Conflicts = true, true, defaultTimeout, defaultManager, forceConflicts
}

// maxManager is the API server's limit on the name of a field manager, in characters.
const maxManager = 128

// Validate checks what the API server or the library would stumble over later.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	if c.WaitTimeout <= 0 {
		found = append(found, n.Get("waitTimeout").Errorf("expected a duration above zero such as 5m"))
	}
	if c.FieldManager == "" || len(c.FieldManager) > maxManager {
		found = append(found, n.Get("fieldManager").Errorf("expected a name of 1 to %d characters", maxManager))
	}
	for i, item := range n.Get("driftIgnore").Items() {
		for j, path := range item.Get("paths").Items() {
			text := c.DriftIgnore[i].Paths[j]
			if _, err := jsonpointer.New(text); err != nil || text == "" {
				d := path.Errorf("%q is not a JSON pointer", text)
				d.Hint = "expected a path such as /spec/replicas or /metadata/annotations/example.com~1name"
				found = append(found, d)
			}
		}
		if t := c.DriftIgnore[i].Target; t != nil {
			found.Collect(n.Pos(), n.Path(), t.validate(item.Get("target")))
		}
	}
	return found.Err()
}

func (t *Target) validate(n *schema.Node) error {
	var found schema.Diagnostics
	for key, text := range map[string]string{"group": t.Group, "version": t.Version, "kind": t.Kind, "name": t.Name, "namespace": t.Namespace} {
		if _, err := regexp.Compile(text); err != nil {
			found = append(found, n.Get(key).Errorf("%q is not a regular expression: %s", text, strings.TrimPrefix(err.Error(), "error parsing regexp: ")))
		}
	}
	for key, text := range map[string]string{"labelSelector": t.LabelSelector, "annotationSelector": t.AnnotationSelector} {
		if _, err := labels.Parse(text); err != nil {
			found = append(found, n.Get(key).Errorf("%q is not a selector: %s", text, err))
		}
	}
	return found.Err()
}

// ignoreRules are the rules as the library wants them.
func (c Config) ignoreRules() []jsondiff.IgnoreRule {
	var rules []jsondiff.IgnoreRule
	for _, d := range c.DriftIgnore {
		rule := jsondiff.IgnoreRule{Paths: d.Paths}
		if d.Target != nil {
			s := jsondiff.Selector(*d.Target)
			rule.Selector = &s
		}
		rules = append(rules, rule)
	}
	return rules
}

// text names all that the configuration has to do with what is written.
func (c Config) text() string {
	c.Wait, c.WaitTimeout, c.CreateNamespace = false, 0, false
	var rules []string
	for _, d := range c.DriftIgnore {
		rules = append(rules, fmt.Sprintf("%q %+v", d.Paths, d.Target))
	}
	c.DriftIgnore = nil
	return fmt.Sprintf("%+v %q", c, rules)
}
