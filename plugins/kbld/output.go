package kbld

import (
	"strake.dev/strake/schema"
)

// An output is where an image is written to besides a registry, or instead of one. Paths count from
// the App's file.
type output struct {
	// OCILayout is a folder.
	OCILayout string `json:"ociLayout,omitempty"`
	// Tar is a file with an OCI layout in it.
	Tar string `json:"tar,omitempty"`
}

// Validate checks that there is a place.
func (o *output) Validate(n *schema.Node) error {
	switch {
	case o.OCILayout == "" && o.Tar == "":
		return n.Errorf("expected ociLayout, tar or both")
	case o.OCILayout == o.Tar:
		return n.Get("tar").Errorf("is the same path as ociLayout")
	}
	return nil
}

// given tells whether there is a place to write to.
func (o output) given() bool { return o != output{} }
