package schema

import (
	"slices"
)

// Entries lists, sorted, everything that a lock file says something about: the paths of sources, the
// references of images, what images were built from, and executable plugins.
func (l Lock) Entries() []string {
	var names []string
	for name := range l.values() {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A Move is an entry of a lock that now is something else.
type Move struct {
	// Entry names the source, the image, or what an image is built from.
	Entry string `json:"entry"`
	// From and To say what it was and what it is; one of them is empty for an entry that is new or gone.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Moves lists, sorted by entry, how n differs from l.
func (l Lock) Moves(n Lock) []Move {
	before, after := l.values(), n.values()
	var names []string
	for _, values := range []map[string]string{before, after} {
		for name := range values {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var moves []Move
	for _, name := range slices.Compact(names) {
		if before[name] != after[name] {
			moves = append(moves, Move{Entry: name, From: before[name], To: after[name]})
		}
	}
	return moves
}

// values says what each entry is. Pins that can't be read are left out: whoever uses them reports that.
func (l Lock) values() map[string]string {
	values := map[string]string{}
	for _, s := range l.Sources {
		values[s.Path] = describeSource(s)
	}
	for _, i := range l.Images {
		pins, err := PinsOf(i)
		if err != nil {
			continue
		}
		for _, p := range pins {
			values[p.Ref()] = p.Value()
		}
	}
	for _, i := range l.Images {
		values[i.Annotations[AnnotationImageID]] = i.Image
	}
	for _, p := range l.Plugins {
		values[p.Name] = p.Digest
	}
	return values
}
