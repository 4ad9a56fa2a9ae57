package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// setFlags are those of commands that bring a set of objects to the cluster, or tell what that would
// change.
type setFlags struct {
	inputFlags
	inventoryFlags
	limitFlags
	prune, force, takeOver, createNamespace bool
	fieldManager                            string
}

func (f *setFlags) add(cmd *cobra.Command) {
	f.inputFlags.add(cmd)
	f.inventoryFlags.add(cmd)
	f.limitFlags.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.prune, "prune", false, "delete what the inventory has and the manifests no longer have")
	flags.BoolVar(&f.force, "force", false, "make objects anew of which a field is changed that can't be changed")
	flags.BoolVar(&f.takeOver, "take-over", false, "take over objects of other inventories or of an app of kapp")
	flags.BoolVar(&f.createNamespace, "create-namespace", false, "make the namespace of the inventory if it isn't there")
	flags.StringVar(&f.fieldManager, "field-manager", "strake", "own fields under this `NAME`")
}

// checkKeys refuses keys that would verify nothing.
func (f *setFlags) checkKeys(cmd *cobra.Command) error {
	if cmd.Flags().Changed("verify-key") && !f.verifyImages && (len(f.artifacts) == 0 || len(f.files) > 0 || f.kustomize != "") {
		return usagef(cmd, "--verify-key is for artifacts: files and kustomizations have no signatures")
	}
	return nil
}

// config is the configuration of the deploy step.
func (f *setFlags) config(wait bool) map[string]any {
	return map[string]any{
		"prune": f.prune, "force": f.force, "takeOver": f.takeOver, "createNamespace": f.createNamespace,
		"fieldManager": f.fieldManager, "wait": wait,
	}
}

// open reads the objects and makes a session that deploys them.
func (f *setFlags) open(ctx context.Context, t *tool, remote *remoteFlags, out *outputFlags, wait bool) (*session, *input, error) {
	deps, err := remote.deps(t.userAgent())
	if err != nil {
		return nil, nil, err
	}
	in, err := f.load(ctx, t, deps.Registry, t.sayText(out))
	if err != nil {
		return nil, nil, err
	}
	if err := in.plain(); err != nil {
		return nil, nil, err
	}
	if len(in.Objects) == 0 && !f.allowEmpty {
		return nil, nil, stages.WithHint(&stages.RefusedError{Reasons: []string{"the inputs hold no Kubernetes object"}},
			"strake delete %s deletes everything that is applied; --allow-empty takes no objects for a set", f.inventory)
	}
	s, err := f.inventoryFlags.open(t, deps, f.config(wait))
	if err != nil {
		return nil, nil, err
	}
	s.opts.Limits = f.limits()
	return s, in, nil
}

// origin is what the inventory says of where its objects come from: what the command line says, or else
// the artifacts.
func (in *input) origin(source, revision string) stages.Origin {
	var sources, revisions, refs []string
	for _, a := range in.artifacts {
		sources = append(sources, cmp.Or(a.Source, a.Ref.Context().Name()))
		revisions = append(revisions, cmp.Or(a.Revision, tagOf(a)))
		refs = append(refs, a.Ref.Name())
	}
	slices.Sort(refs)
	return stages.Origin{
		Source: cmp.Or(source, strings.Join(sources, ",")), Revision: cmp.Or(revision, strings.Join(revisions, ",")),
		Artifacts: slices.Compact(refs),
	}
}

// tagOf is the tag by which an artifact was asked for, or else its digest.
func tagOf(a *artifact.Artifact) string {
	if ref, err := artifact.ParseURL(a.URL); err == nil {
		if tag, ok := ref.(name.Tag); ok {
			return tag.TagStr()
		}
	}
	return a.Ref.DigestStr()
}

func (t *tool) applySet(ctx context.Context, o *applyOptions) error {
	return t.conclude(ctx, "apply", &o.outputFlags, func(*render.JSON) (printable, error) {
		ctx, cancel := o.limit(ctx)
		defer cancel()
		s, in, err := o.open(ctx, t, &o.remoteFlags, &o.outputFlags, o.wait)
		if err != nil {
			return nil, because(ctx, err)
		}
		text, err := in.YAML()
		if err != nil {
			return nil, err
		}
		out := t.text(&o.outputFlags)
		fmt.Fprintf(out, "applying %d manifest(s)...\n", len(in.Objects))
		n := &narration{w: out}
		if o.wait {
			n.waiting = "waiting for resources to become ready..."
		}
		s.also, s.opts.Unchanged = n, true
		result := &appliedSet{Inventory: o.namespace + "/" + o.inventory, Origin: in.origin(o.source, o.revision), waited: n}
		summary, err := t.narrate(ctx, s, &o.outputFlags, &timeoutFlag{}, func(ctx context.Context, opts pipeline.Options) error {
			return s.plan.Deploy(ctx, opts, result.Origin, text)
		})
		result.Changes, result.Counts, result.Seconds = summary.Changes, render.Counts(summary.Changes), summary.Seconds
		return orNil(result, err), err
	})
}

// An appliedSet is what an inventory has become.
type appliedSet struct {
	Inventory string `json:"inventory"`
	stages.Origin
	Counts map[string]int `json:"counts"`
	// Changes are of all objects, also of those that are left as they were.
	Changes []stages.Change `json:"changes"`
	Seconds float64         `json:"seconds"`

	waited *narration
}

func (r *appliedSet) print(w io.Writer) {
	if r.waited.waiting != "" {
		r.waited.wait()
		fmt.Fprintln(w, "all resources are ready")
	}
}
