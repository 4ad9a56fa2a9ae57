package cue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"strake.dev/strake/internal/appvalues"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A Config is the configuration of a cue step, as kapp-controller's App has it:
// https://carvel.dev/kapp-controller/docs/latest/app-spec/.
type Config struct {
	// Paths are files and folders (packages) of the App's folder; default: the folder itself.
	Paths []string `json:"paths,omitempty"`
	// ValuesFrom lists values that are unified with the package; file names end in .yaml, .yml, .json
	// or .cue.
	ValuesFrom []appvalues.Source `json:"valuesFrom,omitempty"`
	// InputExpression is the field that values are put into, as in “values:”; default: the top.
	InputExpression string `json:"inputExpression,omitempty"`
	// OutputExpression is what is exported, as in “output”; default: all visible fields.
	OutputExpression string `json:"outputExpression,omitempty"`
}

// Validate checks paths and expressions.
func (c *Config) Validate(n *schema.Node) error {
	var found schema.Diagnostics
	for i, item := range n.Get("paths").Items() {
		found.Collect(item.Pos(), item.Path(), appvalues.CheckPath(item.Pos(), item.Path(), c.Paths[i]))
	}
	found.Collect(n.Pos(), n.Path(), appvalues.CheckPaths(n, c.ValuesFrom))
	for i, item := range n.Get("valuesFrom").Items() {
		if c.ValuesFrom[i].Path == appvalues.Stream {
			found = append(found, item.Get("path").Errorf("“-” can't be values of cue, which doesn't take the manifests so far"))
		}
	}
	if c.InputExpression != "" {
		if _, err := parseLabels(c.InputExpression); err != nil {
			found = append(found, n.Get("inputExpression").Errorf("%q: %v", c.InputExpression, err))
		}
	}
	if c.OutputExpression != "" {
		if _, err := parseExpression(c.OutputExpression); err != nil {
			found = append(found, n.Get("outputExpression").Errorf("%q: %v", c.OutputExpression, err))
		}
	}
	return found.Err()
}

// Plugin returns the template plugin “cue”.
func Plugin() stages.Plugin {
	return stages.Define(stages.Plugin{
		Stage:   stages.Template,
		Name:    "cue",
		Doc:     "Renders manifests from CUE packages and values.",
		Version: version,
	}, func(c Config) (stages.Step, error) { return &step{config: c}, nil })
}

// version is that of the library; a test compares it with go.mod.
const version = "v0.17.1"

type step struct{ config Config }

// Run renders the manifests.
func (s *step) Run(ctx context.Context, job *stages.Job) (stages.Result, error) {
	if err := ctx.Err(); err != nil {
		return stages.Result{}, err
	}
	if job.Manifests != nil {
		return stages.Result{}, stages.WithHint(errors.New("cue reads folders, and can't go on from the manifests so far"),
			"put it before the other template steps")
	}
	l := appvalues.NewLookup(job)
	in := Input{
		Files: job.Sources.FS(), Paths: s.config.Paths,
		InputExpression: s.config.InputExpression, OutputExpression: s.config.OutputExpression,
	}
	values, err := l.Read(ctx, s.config.ValuesFrom)
	if err != nil {
		return stages.Result{}, err
	}
	for _, v := range values {
		in.Values = append(in.Values, Values{Name: v.Name, Base: v.Base, Data: v.Data})
	}
	if len(job.Values) > 0 {
		set, err := appvalues.Set(job.Values)
		if err != nil {
			return stages.Result{}, err
		}
		data, err := json.Marshal(set)
		if err != nil {
			return stages.Result{}, err
		}
		in.Values = append(in.Values, Values{Name: "--set", Base: "set.json", Data: data})
	}
	manifests, err := Render(ctx, in)
	if err != nil {
		if ctx.Err() != nil {
			return stages.Result{}, err
		}
		return stages.Result{}, l.Clean(err)
	}
	return stages.Result{Manifests: manifests}, nil
}

// Check makes sure that the Secrets, ConfigMaps and fields of the App which the configuration names
// exist. The files are not there yet.
func (s *step) Check(ctx context.Context, job *stages.Job) error {
	return appvalues.NewLookup(job).Check(ctx, s.config.ValuesFrom)
}

// Key is a digest of the App's folder, as packages import others, and of all values.
func (s *step) Key(ctx context.Context, job *stages.Job) (string, error) {
	folder, err := job.Sources.Digest(ctx)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "folder %s\n", folder)
	if err := appvalues.NewLookup(job).WriteKey(ctx, sum, s.config.ValuesFrom); err != nil {
		return "", err
	}
	// A map prints with its keys sorted.
	fmt.Fprintf(sum, "set %q\n", job.Values)
	return hex.EncodeToString(sum.Sum(nil)), nil
}
