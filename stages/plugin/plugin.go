package plugin

import (
	"context"
	"slices"

	"strake.dev/strake/stages/protocol"
)

// A Func does one operation. It returns soon after ctx ends, reads and writes only in the request's areas, and
// doesn't print to standard output.
type Func func(ctx context.Context, r *Request) (Result, error)

// A Result is what an operation yields.
type Result = protocol.Result

// A Plugin is what an executable can do. Name and Version and one stage are required.
type Plugin struct {
	// Name and Version are for people, and part of what results depend on.
	Name, Version string

	// The stages; nil for those that the plugin doesn't have.
	Fetch, Verify, Template, Build, Publish, Deploy Func

	// Plan, if not nil, tells in Result.Changes what build, publish and deploy would change.
	Plan Func
	// Key, if not nil, tells in Result.Key what results depend on beyond what strake counts: the configuration,
	// the App's folder, manifests, values and the executable. It may be empty. With it strake leaves out steps
	// whose input is unchanged; without it they are always run.
	Key Func
	// Check, if not nil, fails if the step is going to, before any step has run.
	Check Func
	// Delete, if not nil, removes what deploy has made.
	Delete Func
}

func (p *Plugin) stages() map[string]Func {
	return given(map[string]Func{
		"fetch": p.Fetch, "verify": p.Verify, "template": p.Template, "build": p.Build, "publish": p.Publish, "deploy": p.Deploy,
	})
}

func (p *Plugin) capabilities() map[string]Func {
	return given(map[string]Func{
		protocol.Plan: p.Plan, protocol.Key: p.Key, protocol.Check: p.Check, protocol.Delete: p.Delete,
	})
}

func given(funcs map[string]Func) map[string]Func {
	for name, f := range funcs {
		if f == nil {
			delete(funcs, name)
		}
	}
	return funcs
}

func names(funcs map[string]Func) []string {
	var all []string
	for name := range funcs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// do finds the function for a request.
func (p *Plugin) do(r *Request) (Func, bool) {
	stage, ok := p.stages()[r.Stage]
	if r.Op == protocol.Run || !ok {
		return stage, ok
	}
	f, ok := p.capabilities()[r.Op]
	return f, ok
}
