package buildkit

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/client"

	"strake.dev/strake/internal/registry"
)

// An Output says where a build goes, and what it is called on the way. It goes to at least one of
// Push, Layout and Archive.
type Output struct {
	// Daemons are those that may build, from [Client.Daemons].
	Daemons []Daemon
	// Push are the tags to push the image under, of registries that all speak HTTPS, or all HTTP.
	Push []name.Tag
	// Keychain has the credentials of this build; nil is that of the client.
	Keychain authn.Keychain
	// Through is the client to push with. The daemon sends it the image then, and need not reach the
	// registries, know their certificates or have credentials for them. Nil lets the daemon push.
	Through *registry.Client
	// Layout is the absolute path of a folder that is, or becomes, an OCI image layout. Other images
	// in it are kept.
	Layout string
	// Archive is the absolute path of a tar archive of an OCI image layout, which is replaced.
	Archive string
	// Tag is what the image is called in Layout and Archive: [Parts.Tag].
	Tag string
	// Temp is the folder below which the image is kept until it is in its place, if it isn't the daemon
	// that pushes; empty is the system's folder for temporary files.
	Temp string
	// Name names the build in events and errors.
	Name string
	// Cache names the build for the daemon, which keeps the last context of each name: builds of one
	// source share it, others don't.
	Cache string
	// Tenant keeps the build apart from others at the daemon: no context is kept for it, as its sender
	// could have the daemon take it for one of another tenant, and folders of RUN --mount=type=cache are
	// shared only by builds of one tenant. Empty for builds that trust each other.
	Tenant string
}

func (o Output) names() []string {
	var names []string
	for _, tag := range o.Push {
		names = append(names, tag.Name())
	}
	return names
}

// places names where the image goes, for messages.
func (o Output) places() string {
	places := o.names()
	for _, p := range []string{o.Layout, o.Archive} {
		if p != "" {
			places = append(places, p)
		}
	}
	return strings.Join(places, ", ")
}

// fetched tells whether the daemon sends the image here.
func (o Output) fetched() bool {
	return o.Layout != "" || o.Archive != "" || o.Through != nil && len(o.Push) > 0
}

func (o Output) check() error {
	if o.places() == "" {
		return errors.New("there is no place for the image to go to")
	}
	for _, p := range []string{o.Layout, o.Archive} {
		if p != "" && !filepath.IsAbs(p) {
			return fmt.Errorf("output %s: expected an absolute path", p)
		}
		if p != "" && o.Tag == "" {
			return fmt.Errorf("output %s: the image has no tag", p)
		}
	}
	return nil
}

// exports says to the daemon where the image goes. What is fetched comes into the store, which is nil
// if nothing is.
func (o Output) exports(annotations map[string]string, into *store) []client.ExportEntry {
	attrs := func() map[string]string {
		attrs := map[string]string{"oci-mediatypes": "true", "rewrite-timestamp": "true"}
		for key, value := range annotations {
			attrs[annotationAttr(key)] = value
		}
		return attrs
	}
	var list []client.ExportEntry
	if len(o.Push) > 0 && o.Through == nil {
		push := attrs()
		push["name"], push["push"] = strings.Join(o.names(), ","), "true"
		if o.Push[0].Scheme() == "http" {
			push["registry.insecure"] = "true"
		}
		list = append(list, client.ExportEntry{Type: client.ExporterImage, Attrs: push})
	}
	if into != nil {
		fetch := attrs()
		fetch["tar"] = "false"
		list = append(list, client.ExportEntry{Type: client.ExporterOCI, Attrs: fetch, OutputStore: into.content})
	}
	return list
}

// indexPrefix marks annotations of the index.
const indexPrefix = "index:"

// annotationAttr is the exporter's attribute of an annotation.
func annotationAttr(key string) string {
	if key, ok := strings.CutPrefix(key, indexPrefix); ok {
		return "annotation-index." + key
	}
	return "annotation." + key
}
