package schema

import (
	"cmp"
	"fmt"
	"slices"
)

// A LockedPlugin says which executable a plugin was: one entry of the lock's PluginDigestsLock.
type LockedPlugin struct {
	// Name is what the App calls it: the name that is looked for on PATH, or a path.
	Name string `json:"name"`
	// Digest is that of the executable, in the form sha256:….
	Digest string `json:"digest"`
}

// A pluginsLock is the document for the digests of executable plugins.
type pluginsLock struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Plugins    []LockedPlugin `json:"plugins"`
}

const pluginsKind = "PluginDigestsLock"

// Plugin returns the entry of an executable plugin.
func (l Lock) Plugin(name string) (LockedPlugin, bool) {
	for _, p := range l.Plugins {
		if p.Name == name {
			return p, true
		}
	}
	return LockedPlugin{}, false
}

// sortPlugins puts them into the order of the file, each once.
func (l *Lock) sortPlugins() {
	slices.SortFunc(l.Plugins, func(a, b LockedPlugin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	l.Plugins = slices.Compact(l.Plugins)
}

// pluginDifferences is the part of [Lock.Differences] for plugins.
func (l Lock) pluginDifferences(n Lock) []Difference {
	var diffs []Difference
	for _, p := range n.Plugins {
		switch old, ok := l.Plugin(p.Name); {
		case !ok:
			diffs = append(diffs, Difference{"plugin " + p.Name, "is not in the lock file"})
		case old.Digest != p.Digest:
			diffs = append(diffs, Difference{"plugin " + p.Name, fmt.Sprintf("is %s, but the lock file has %s", p.Digest, old.Digest)})
		}
	}
	for _, p := range l.Plugins {
		if _, ok := n.Plugin(p.Name); !ok {
			diffs = append(diffs, Difference{"plugin " + p.Name, "is in the lock file, but not in the App"})
		}
	}
	return diffs
}

// checkPlugins makes sure that each entry of a lock file pins something.
func checkPlugins(n *Node, plugins []LockedPlugin) error {
	for i, p := range plugins {
		if p.Name == "" || !sha256Form.MatchString(p.Digest) {
			return n.Errorf("plugins: entry %d: expected a name and a digest in the form sha256:…", i+1)
		}
	}
	return nil
}
