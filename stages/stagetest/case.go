package stagetest

import (
	"maps"
	"slices"
	"testing"

	"strake.dev/strake/stages"
)

// A Case is one configuration of a plugin, the job it runs on, and what comes of it. Steps made
// from it are bound, checked, planned and run several times, each time with a new job.
type Case struct {
	Name string
	// Config is the plugin's configuration as YAML; empty means that none is given.
	Config string

	// Files are the App's folder: contents by path.
	Files map[string]string
	// Beside are the files beside the App's file, in job.Dir.
	Beside map[string]string
	// Manifests are the current manifests; empty means that there are none yet, as for the first
	// template step.
	Manifests string
	// Folder is job.Folder, for fetch steps; default: “.”.
	Folder string
	// App is what the job says of the App. An empty name or namespace becomes “app” or “default”.
	App stages.App
	// Objects are the Secrets and ConfigMaps that the configuration may refer to. The values of the
	// Secrets, and the strings inside of those that are YAML, must not show up anywhere outside of
	// the result, if they have at least six characters. Those of the keys username, ssh-knownhosts
	// and ca.crt may.
	Objects Objects
	// Values are those given with --set.
	Values map[string]string
	// Target is the cluster that the App is deployed to.
	Target stages.Target
	// Lock is what the lock file says; default: an empty one that isn't enforced.
	Lock *stages.Lock
	// Setup changes each new job, for what the fields above can't say; it may be nil.
	Setup func(t testing.TB, job *stages.Job)

	// WantManifests are the manifests that Run yields; empty means that they aren't compared.
	WantManifests string
	// WantFiles are all files that Run leaves in job.Out; nil means that they aren't compared.
	WantFiles map[string]string
	// WantError is a part of the error that Run returns; empty means that it succeeds.
	WantError string
	// WantHint is a part of the advice that comes with the error.
	WantHint string
	// Check looks at what came of a successful Run; it may be nil.
	Check func(t testing.TB, job *stages.Job, result stages.Result)

	// Variants are changes of the case's input, to see what becomes of the key of a [stages.Keyer].
	// A case of such a plugin that succeeds and has no variants tests only that the key is stable.
	Variants []Variant
}

// A Variant is a change of a case's input.
type Variant struct {
	Name string
	// Change changes a copy of the case, whose maps it may write to.
	Change func(c *Case)
	// Same means that the result doesn't depend on what was changed, so that the key must not change
	// either. A change of the configuration or the manifests is not to be tested: those are in every
	// key, by the engine.
	Same bool
}

// A BadConfig is a configuration that a plugin refuses.
type BadConfig struct {
	Name   string
	Config string
	// Want is a part of the message. It may begin with the place, as in “test.yaml:2:3: ”.
	Want string
}

// clone returns a case whose maps can be written to without changing c.
func (c Case) clone() Case {
	c.Files = orEmpty(maps.Clone(c.Files))
	c.Beside = orEmpty(maps.Clone(c.Beside))
	c.Values = orEmpty(maps.Clone(c.Values))
	c.App.Labels = orEmpty(maps.Clone(c.App.Labels))
	c.App.Annotations = orEmpty(maps.Clone(c.App.Annotations))
	c.Objects = c.Objects.clone()
	c.Variants = slices.Clone(c.Variants)
	return c
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
