package kbld

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/schema"
)

// sourceOptions are what the key “buildkit” of a source holds. Paths count from the source's path,
// like that of the Dockerfile, except for those of files that aren't the source's own: secrets, keys,
// caches and outputs, which count from the App's file.
type sourceOptions struct {
	// Dockerfile counts from the source's path, and may lie outside of it; default: Dockerfile.
	Dockerfile string `json:"dockerfile,omitempty"`
	// Target is the stage of the Dockerfile to build; default: the last one.
	Target string `json:"target,omitempty"`
	// BuildArgs are values of the Dockerfile's ARGs.
	BuildArgs map[string]string `json:"buildArgs,omitempty"`
	// Platforms are in the form linux/arm64; several make one index. Default: that of the daemon.
	Platforms []string `json:"platforms,omitempty"`
	// Contexts are, by name, folders, URLs of git repositories or archives, docker-image://REFERENCE or
	// oci-layout://FOLDER@DIGEST.
	Contexts map[string]string `json:"contexts,omitempty"`
	// Secrets are for RUN --mount=type=secret. Each has an id, and one of env, file and secretRef.
	Secrets []secret `json:"secrets,omitempty"`
	// SSH is for RUN --mount=type=ssh.
	SSH []sshKeys `json:"ssh,omitempty"`
	// CacheFrom are places to take build steps from: mappings with type (azblob, gha, local, registry or s3) and
	// its attributes, or docker's short form of them.
	CacheFrom []cache `json:"cacheFrom,omitempty"`
	// CacheTo are places to keep build steps in: like cacheFrom, and also of type inline.
	CacheTo []cache `json:"cacheTo,omitempty"`
	// Labels are those of the image's configuration.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are those of the manifest; where a key begins with “index:”, of the index.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Attest says which attestations the image gets; default: none.
	Attest attest `json:"attest"`
	// NoCache runs every step again.
	NoCache bool `json:"noCache,omitempty"`
	// NoCacheFilter names stages of the Dockerfile whose steps are run again.
	NoCacheFilter []string `json:"noCacheFilter,omitempty"`
	// Pull asks the registry for the base images even if the daemon has them.
	Pull bool `json:"pull,omitempty"`
	// Network is that of RUN: default, none or host; the last one is an entitlement, too.
	Network string `json:"network,omitempty"`
	// Entitlements are network.host and security.insecure; the daemon and --allow-entitlement have to grant them.
	Entitlements []string `json:"entitlements,omitempty"`
	// AddHosts are in the form NAME=IP.
	AddHosts []string `json:"addHosts,omitempty"`
	// ShmSize is the size of /dev/shm, such as 64m.
	ShmSize string `json:"shmSize,omitempty"`
	// Ulimits are in the form NAME=SOFT[:HARD].
	Ulimits []string `json:"ulimits,omitempty"`
	// CgroupParent is the cgroup below which RUN gets its own.
	CgroupParent string `json:"cgroupParent,omitempty"`
	// Output writes the image to files as well; without a destination, only there.
	Output *output `json:"output,omitempty"`
}

// An attest says which attestations the image gets.
type attest struct {
	// Provenance is min, max, true for min, or false.
	Provenance provenance `json:"provenance,omitempty"`
	// SBOM is true, false, or the image of a generator.
	SBOM sbom `json:"sbom,omitempty"`
}

// provenance is a level, or empty for none.
type provenance string

// DecodeNode reads a level, or true or false.
func (p *provenance) DecodeNode(n *schema.Node) error {
	level, err := provenanceLevel(n.Text())
	*p = provenance(level)
	return at(n, err)
}

// provenanceLevel reads a level; true is what Docker makes of it.
func provenanceLevel(text string) (string, error) {
	switch text {
	case "min", "max":
		return text, nil
	case "true":
		return "min", nil
	case "false":
		return "", nil
	}
	return "", fmt.Errorf("expected min, max, true or false, found %q", text)
}

// sbom is an image, or true, or empty for none.
type sbom string

// DecodeNode reads an image's reference, or true or false.
func (s *sbom) DecodeNode(n *schema.Node) error {
	generator, err := sbomGenerator(n.Text())
	*s = sbom(generator)
	return at(n, err)
}

func sbomGenerator(text string) (string, error) {
	switch text {
	case "true":
		return text, nil
	case "false":
		return "", nil
	}
	if _, err := name.ParseReference(text); err != nil {
		return "", fmt.Errorf("expected true, false or the image of a generator, found %q", text)
	}
	return text, nil
}

// readOwn reads the key “buildkit”, and tells all that is wrong with it by its place.
func (r *request) readOwn(n *schema.Node) error {
	var o sourceOptions
	var found schema.Diagnostics
	found.Collect(n.Pos(), n.Path(), schema.Decode(n, &o))
	if r.how.policy == nil {
		checkValues(o.Secrets, n.Get("secrets"), &found)
	}
	if err := found.Err(); err != nil {
		return err
	}
	check := func(n *schema.Node, err error) {
		if err != nil {
			found.Collect(n.Pos(), n.Path(), at(n, err))
		}
	}
	text := func(key, value string, set func(string) error) {
		if n := n.Get(key); n != nil && !n.IsNull() {
			check(n, set(value))
		}
	}
	list := func(key string, values []string, add func(string) error) {
		for i, item := range n.Get(key).Items() {
			check(item, add(values[i]))
		}
	}
	pairs := func(key string, add func(name, value string) error) {
		for _, p := range n.Get(key).Pairs() {
			check(p.Value, add(p.Key, p.Value.Text()))
		}
	}

	r.options.Target, r.options.NoCache, r.options.Pull = o.Target, o.NoCache, o.Pull
	r.options.Provenance, r.options.SBOM = string(o.Attest.Provenance), string(o.Attest.SBOM)
	text("dockerfile", o.Dockerfile, r.setDockerfile)
	pairs("buildArgs", r.addArg)
	list("platforms", o.Platforms, r.addPlatform)
	pairs("contexts", r.addContext)
	for i, item := range n.Get("secrets").Items() {
		check(item, r.addSecret(o.Secrets[i]))
	}
	for i, item := range n.Get("ssh").Items() {
		check(item, r.addSSH(o.SSH[i]))
	}
	for i, item := range n.Get("cacheFrom").Items() {
		check(item, r.addCacheFrom(o.CacheFrom[i]))
	}
	for i, item := range n.Get("cacheTo").Items() {
		check(item, r.addCacheTo(o.CacheTo[i]))
	}
	pairs("labels", r.addLabel)
	pairs("annotations", r.addAnnotation)
	list("noCacheFilter", o.NoCacheFilter, r.addNoCacheFilter)
	text("network", o.Network, r.setNetwork)
	list("entitlements", o.Entitlements, r.addEntitlement)
	list("addHosts", o.AddHosts, r.addHost)
	text("shmSize", o.ShmSize, r.setShmSize)
	list("ulimits", o.Ulimits, r.addUlimit)
	text("cgroupParent", o.CgroupParent, r.setCgroupParent)
	if o.Output != nil {
		r.output = *o.Output
	}
	return found.Err()
}
