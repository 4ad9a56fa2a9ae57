package kbld

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	kbldconfig "carvel.dev/kbld/pkg/kbld/config"
	"carvel.dev/kbld/pkg/kbld/resources"
	"sigs.k8s.io/yaml"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

const (
	apiVersion = "kbld.k14s.io/v1alpha1"
	kindConfig = "Config"
)

// A document is one kbld Config: what kbld has of it, and what we make of its sources.
type document struct {
	config  kbldconfig.Config
	sources []source
	// ignored describes keys that mean nothing to kbld.
	ignored []string
}

// A reading says how a document is read.
type reading struct {
	// locate makes of a source's path one in the folder that all sources lie in.
	locate func(path string) (string, error)
	// anywhere tells that locate takes paths that lead anywhere; a Dockerfile's may be absolute then.
	anywhere bool
	// lazy keeps what is wrong with the options of a source until somebody names its image.
	lazy bool
	// inside refuses files of this machine beyond the folder of the App's file.
	inside bool
	// policy refuses what it doesn't allow; nil allows everything.
	policy *hook.Policy
}

// forApp is how what stands in an App is read: its sources lie in its folder. Documents among the
// manifests may come from anybody.
var (
	forApp       = reading{locate: stages.Clean}
	forManifests = reading{locate: stages.Clean, inside: true}
)

// readDocument reads a kbld Config. What kbld would only find out while it works, or by a panic, is
// checked here, and told by its place.
func readDocument(n *schema.Node, how reading) (*document, error) {
	if !n.IsMapping() {
		return nil, n.Errorf("expected a mapping with sources, destinations and so on")
	}
	var found schema.Diagnostics
	checkRules(n, &found)
	checkSources(n, &found)
	if err := found.Err(); err != nil {
		return nil, err
	}
	d := &document{ignored: unknownKeys(n)}
	var err error
	if d.config, err = decode(n); err != nil {
		return nil, n.Errorf("%v", err)
	}
	for i, item := range get(n, "sources").Items() {
		s, err := newSource(d.config.Sources[i], get(item, "buildkit"), how)
		switch {
		case err != nil:
		case how.policy != nil:
			err = s.confine(how.policy)
		case how.inside:
			err = s.checkInside()
		}
		if err != nil && how.lazy {
			s.unsupported, err = err, nil
		}
		found.Collect(item.Pos(), item.Path(), at(item, err))
		d.sources = append(d.sources, s)
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// at makes an error with a hint a Diagnostic about n; Diagnostics stay what they are.
func at(n *schema.Node, err error) error {
	hint := stages.Hint(err)
	if hint == "" {
		return err
	}
	d := n.Errorf("%v", err)
	d.Hint = hint
	return d
}

// decode has kbld read the document.
func decode(n *schema.Node) (kbldconfig.Config, error) {
	value, err := n.Value()
	if err != nil {
		return kbldconfig.Config{}, err
	}
	content := maps.Clone(value.(map[string]any))
	content["apiVersion"], content["kind"] = apiVersion, kindConfig
	text, err := yaml.Marshal(content)
	if err != nil {
		return kbldconfig.Config{}, err
	}
	res, err := resources.NewResourceFromBytes(text)
	if err != nil {
		return kbldconfig.Config{}, err
	}
	c, err := kbldconfig.NewConfigFromResource(res)
	if err != nil {
		// The library describes the document as it does objects of a cluster, which it is not.
		text := err.Error()
		for _, verb := range []string{"Validating ", "Unmarshaling "} {
			text = strings.TrimPrefix(text, verb+res.Description()+": ")
		}
		return c, fmt.Errorf("%s", text)
	}
	return c, nil
}

// get returns the value of a key of a mapping. kbld reads keys without regard to case, and so do we.
func get(n *schema.Node, key string) *schema.Node {
	for _, p := range n.Pairs() {
		if strings.EqualFold(p.Key, key) {
			return p.Value
		}
	}
	return nil
}

// checkSources checks what every source needs.
func checkSources(n *schema.Node, found *schema.Diagnostics) {
	for _, item := range get(n, "sources").Items() {
		if get(item, "image").Text() == "" && get(item, "imageRepo").Text() == "" {
			d := item.Errorf("names no image")
			d.Hint = "“image” is the reference that the manifests have"
			*found = append(*found, d)
		}
		if get(item, "path").Text() == "" {
			d := item.Errorf("has no path")
			d.Hint = "“path” is the source's folder below the App's folder; “.” is that folder itself"
			*found = append(*found, d)
		}
	}
}

// checkRules checks what makes kbld panic: search rules that match nothing, and update strategies
// that it doesn't know.
func checkRules(n *schema.Node, found *schema.Diagnostics) {
	for _, rule := range get(n, "searchRules").Items() {
		key, value, strategy := get(rule, "keyMatcher"), get(rule, "valueMatcher"), get(rule, "updateStrategy")
		if key == nil && value == nil {
			*found = append(*found, rule.Errorf("matches nothing: expected keyMatcher or valueMatcher"))
		}
		if key != nil && get(key, "name").Text() == "" && len(get(key, "path").Items()) == 0 {
			*found = append(*found, key.Errorf("expected name or path"))
		}
		if value != nil && get(value, "image").Text() == "" && get(value, "imageRepo").Text() == "" {
			*found = append(*found, value.Errorf("expected image or imageRepo"))
		}
		if strategy != nil && !strategy.IsNull() {
			checkStrategy(strategy, found)
		}
	}
}

var strategies = []string{"none", "entireValue", "json", "yaml"}

func checkStrategy(n *schema.Node, found *schema.Diagnostics) {
	chosen, unknown := false, false
	for _, p := range n.Pairs() {
		if !slices.ContainsFunc(strategies, func(name string) bool { return strings.EqualFold(name, p.Key) }) {
			unknown = true
			*found = append(*found, schema.Diagnostic{
				Pos: p.KeyPos, Path: p.Value.Path(), Msg: "unknown update strategy", Hint: schema.Suggest(p.Key, strategies),
			})
			continue
		}
		chosen = chosen || !p.Value.IsNull()
		checkRules(p.Value, found)
	}
	if !chosen && !unknown {
		d := n.Errorf("expected one of %s", strings.Join(strategies, ", "))
		d.Hint = "for example “updateStrategy: {none: {}}”"
		*found = append(*found, d)
	}
}
