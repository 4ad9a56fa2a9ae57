package kbld

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"strake.dev/strake/schema"
)

// keys are the keys of a mapping, and those of their values. A value with nil may be anything: what
// stands below “buildkit” is read strictly anyway.
type keys map[string]keys

var (
	dockerFields = keys{"target": nil, "pull": nil, "noCache": nil, "file": nil, "rawOptions": nil}
	matcherKeys  = keys{"name": nil, "path": nil}
	valueKeys    = keys{"image": nil, "imageRepo": nil}
)

// knownKeys are the keys of a kbld Config; lists are taken for their items.
var knownKeys = sync.OnceValue(func() keys {
	return keys{
		"apiVersion": nil, "kind": nil, "metadata": nil, "minimumRequiredVersion": nil, "keys": nil,
		"sources": {
			"image": nil, "imageRepo": nil, "path": nil, "buildkit": nil,
			"docker":          {"build": with(dockerFields, "buildkit"), "buildx": dockerFields},
			"kubectlBuildkit": {"build": with(dockerFields, "platform")},
			"pack":            {"build": {"builder": nil, "buildpacks": nil, "clearCache": nil, "rawOptions": nil}},
			"ko":              {"build": {"rawOptions": nil}},
			"bazel":           {"run": {"target": nil, "rawOptions": nil}},
		},
		"overrides": {
			"image": nil, "imageRepo": nil, "newImage": nil, "preresolved": nil, "origins": nil,
			"tagSelection":      {"semver": {"constraints": nil, "prereleases": {"identifiers": nil}}},
			"platformSelection": {"architecture": nil, "os": nil, "os.version": nil, "os.features": nil, "variant": nil, "features": nil},
		},
		"destinations": {"image": nil, "imageRepo": nil, "newImage": nil, "tags": nil},
		"searchRules":  {"keyMatcher": matcherKeys, "valueMatcher": valueKeys, "updateStrategy": nil},
	}
})

func with(k keys, name string) keys {
	more := maps.Clone(k)
	more[name] = nil
	return more
}

// unknownKeys describes the keys that kbld ignores, which are often misspelt.
func unknownKeys(config *schema.Node) []string { return unknownIn(config, knownKeys()) }

func unknownIn(n *schema.Node, known keys) []string {
	if known == nil {
		return nil
	}
	var texts []string
	for _, item := range n.Items() {
		texts = append(texts, unknownIn(item, known)...)
	}
	for _, p := range n.Pairs() {
		name, ok := known.find(p.Key)
		if ok {
			texts = append(texts, unknownIn(p.Value, known[name])...)
			continue
		}
		d := schema.Diagnostic{Pos: p.KeyPos, Path: p.Value.Path(), Msg: "unknown field, which kbld ignores", Hint: schema.Suggest(p.Key, sortedKeys(known))}
		texts = append(texts, d.Error())
	}
	return texts
}

// find returns a key as kbld reads it: without regard to case.
func (k keys) find(name string) (string, bool) {
	names := sortedKeys(k)
	i := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name) })
	if i < 0 {
		return "", false
	}
	return names[i], true
}
