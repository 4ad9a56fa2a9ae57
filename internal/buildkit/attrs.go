package buildkit

import (
	"encoding/csv"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/tonistiigi/fsutil"
)

// frontendAttrs says to BuildKit's Dockerfile frontend how to build.
func (b *Build) frontendAttrs() map[string]string {
	s := b.source
	attrs := map[string]string{
		"filename":              path.Base(s.Dockerfile),
		"build-arg:" + epochArg: b.Date(),
	}
	if s.Remote != "" {
		attrs["context"], attrs["filename"] = remoteContext(s.Remote), s.Dockerfile
	}
	for k, v := range maps.All(s.Args) {
		attrs["build-arg:"+k] = v
	}
	for k, v := range maps.All(s.Labels) {
		attrs["label:"+k] = v
	}
	for i, name := range slices.Sorted(maps.Keys(b.contexts)) {
		attrs["context:"+name] = b.contexts[name].attr(i, name)
	}
	for key, value := range map[string]string{
		"target":             s.Target,
		"platform":           strings.Join(s.Platforms, ","),
		"force-network-mode": s.network(),
		"add-hosts":          fields(s.Hosts),
		"shm-size":           s.shmSize(),
		"ulimit":             fields(s.Ulimits),
		"cgroup-parent":      s.CgroupParent,
		"no-cache":           strings.Join(s.NoCacheFilter, ","),
	} {
		if value != "" {
			attrs[key] = value
		}
	}
	if s.NoCache {
		attrs["no-cache"] = ""
	}
	if s.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	if s.Provenance != "" {
		attrs["attest:provenance"] = "mode=" + s.Provenance
	}
	switch s.SBOM {
	case "":
	case sbomDefault:
		attrs["attest:sbom"] = ""
	default:
		attrs["attest:sbom"] = fields([]string{"generator=" + s.SBOM})
	}
	return attrs
}

// sbomDefault leaves it to BuildKit which image makes the software bill of materials.
const sbomDefault = "true"

// fields makes one line of comma-separated values, as BuildKit reads them.
func fields(values []string) string {
	if len(values) == 0 {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	// A strings.Builder takes everything.
	_ = w.Write(values)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// attr is what the frontend is told of a named context, which is the i-th in the order of their names.
func (c namedContext) attr(i int, name string) string {
	switch {
	case c.tree != nil:
		return "local:" + mountOf(name)
	case c.layout != nil:
		return fmt.Sprintf("oci-layout://%s@%s", storeOf(i), c.layout.digest)
	}
	return c.url
}

// mountOf is the name by which the daemon asks for the folder of a named context.
func mountOf(context string) string { return "context:" + context }

// storeOf is the name by which the daemon asks for the layout of a named context; it has to have the
// form of an image's name.
func storeOf(i int) string { return fmt.Sprintf("layout%d", i) }

// mounts are the folders that the daemon may read.
func (b *Build) mounts() map[string]fsutil.FS {
	mounts := map[string]fsutil.FS{}
	if b.source.Remote == "" {
		mounts["context"], mounts["dockerfile"] = b.context, b.dockerfileTree()
	}
	for name, c := range maps.All(b.contexts) {
		if c.tree != nil {
			mounts[mountOf(name)] = c.tree
		}
	}
	return mounts
}

// stores are the OCI layouts that the daemon may read.
func (b *Build) stores() map[string]content.Store {
	stores := map[string]content.Store{}
	for i, name := range slices.Sorted(maps.Keys(b.contexts)) {
		if l := b.contexts[name].layout; l != nil {
			stores[storeOf(i)] = layoutStore{root: b.source.Root, dir: l.dir}
		}
	}
	return stores
}

// dockerfileTree holds the Dockerfile, and the .dockerignore that belongs to it.
func (b *Build) dockerfileTree() *tree {
	base := path.Base(b.source.Dockerfile)
	names, contents := []string{base}, map[string][]byte{base: b.dockerfile}
	if b.ownIgnore {
		names = append(names, base+".dockerignore")
		contents[base+".dockerignore"] = b.ignore
	}
	return memoryTree(names, contents)
}
