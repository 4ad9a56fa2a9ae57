package kbld

import (
	"slices"
	"strings"

	"strake.dev/strake/schema"
)

// knownKeys are the keys of a kbld Config and of the entries of its lists.
var knownKeys = map[string][]string{
	"":             {"apiVersion", "kind", "metadata", "minimumRequiredVersion", "sources", "overrides", "destinations", "keys", "searchRules"},
	"sources":      {"image", "imageRepo", "path", "buildkit", "docker", "pack", "kubectlBuildkit", "ko", "bazel"},
	"overrides":    {"image", "imageRepo", "newImage", "preresolved", "tagSelection", "platformSelection", "origins"},
	"destinations": {"image", "imageRepo", "newImage", "tags"},
	"searchRules":  {"keyMatcher", "valueMatcher", "updateStrategy"},
}

// unknownKeys describes the keys that kbld ignores, which are often misspelt.
func unknownKeys(config *schema.Node) []string {
	texts := unknownIn(config, knownKeys[""])
	for _, p := range config.Pairs() {
		for _, item := range p.Value.Items() {
			if known := knownKeys[p.Key]; known != nil {
				texts = append(texts, unknownIn(item, known)...)
			}
		}
	}
	return texts
}

func unknownIn(n *schema.Node, known []string) []string {
	var texts []string
	for _, p := range n.Pairs() {
		if slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, p.Key) }) {
			continue
		}
		d := schema.Diagnostic{Pos: p.KeyPos, Path: p.Value.Path(), Msg: "unknown field, which kbld ignores", Hint: schema.Suggest(p.Key, known)}
		texts = append(texts, d.Error())
	}
	return texts
}
