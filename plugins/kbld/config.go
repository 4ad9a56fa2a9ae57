package kbld

import (
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// Config is the configuration of the plugin: that of kapp-controller's kbld step, and more.
type Config struct {
	// Paths are files and folders below the App's folder to read manifests from; “-” stands for the
	// manifests so far. Default: the manifests so far, or the whole folder when nothing was templated.
	Paths []string `json:"paths,omitempty"`
	// Config is a kbld Config without apiVersion and kind: sources, overrides, destinations,
	// searchRules, keys, minimumRequiredVersion. It goes before the Config documents among the
	// manifests. A source may have a key “buildkit” with the options of its build: dockerfile, target,
	// buildArgs, platforms, contexts, secrets, ssh, cacheFrom, cacheTo, labels, annotations, attest,
	// noCache, noCacheFilter, pull, network, entitlements, addHosts, shmSize, ulimits, cgroupParent and
	// output.
	Config *schema.Node `json:"config,omitempty"`
	// SecretRefs name Secrets with credentials of registries, to pull and push with: of the type
	// kubernetes.io/dockerconfigjson, or with the keys username, password and hostname.
	SecretRefs []schema.LocalRef `json:"secretRefs,omitempty"`
	// Buildkit says which daemons build.
	Buildkit Daemon `json:"buildkit"`

	// own is Config as it was read.
	own *document
}

// Validate checks the paths and reads the kbld Config.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	for i, item := range n.Get("paths").Items() {
		if c.Paths[i] == stream {
			continue
		}
		if _, err := stages.Clean(c.Paths[i]); err != nil {
			found = append(found, item.Errorf("%v", err))
		}
	}
	for i, item := range n.Get("secretRefs").Items() {
		if c.SecretRefs[i].Name == "" {
			found = append(found, item.Errorf("names no Secret"))
		}
	}
	if c.Config != nil && !c.Config.IsNull() {
		own, err := readDocument(c.Config, forApp)
		found.Collect(c.Config.Pos(), c.Config.Path(), err)
		c.own = own
	}
	return found.Err()
}
