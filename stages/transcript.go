package stages

import "bytes"

// A Transcript is what a deploying tool prints by itself, and what it says of the app that it has
// deployed: kapp-controller keeps both in the status of an App. Steps of other tools leave it alone.
type Transcript struct {
	// Output is what the tool would have printed.
	Output bytes.Buffer
	// Associated tells where the app's objects are; nil if that isn't known.
	Associated *Associated
}

// Associated tells how the objects of a deployed app can be found.
type Associated struct {
	// Label is the one that all of them have, as key=value.
	Label string
	// Namespaces are those of the objects; “(cluster)” stands for objects without one.
	Namespaces []string
	GroupKinds []GroupKind
}

// A GroupKind is a kind of object.
type GroupKind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}
