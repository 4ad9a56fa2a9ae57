package kbld

import (
	"strings"
	"unicode/utf8"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/plugins/kbld"
	"strake.dev/strake/stages"
)

// How a kbld that must not build says how it may.
const noPolicy = "the operator of a cluster can allow builds: set " + hook.PolicyVariable + " on this container, as “strake hook manifest” does"

// enable lets a call with --build=false, as kapp-controller makes it, build what the policy of its
// container allows. Calls without sources go on as ever.
func (c *command) enable(o *kbldcmd.ResolveOptions, request *kbld.Request) error {
	if o.AllowedToBuild {
		return nil
	}
	documents := make([]map[string]any, len(request.Documents))
	sources := false
	for i, doc := range request.Documents {
		// Most documents are manifests, of which no copy is needed.
		if doc.APIVersion() == hook.ConfigVersion {
			documents[i] = doc.DeepCopyRaw()
		}
		sources = sources || hook.HasSources(documents[i])
	}
	if !sources {
		return nil
	}
	policy, err := hook.Load(c.Getenv)
	if policy == nil {
		request.NoBuildHint = noPolicy
		if err != nil {
			request.NoBuildHint = "the policy of the cluster can't be used: " + err.Error()
		}
		return nil
	}
	folder, admissions, err := hook.Admit(documents, o.FileFlags.Files, c.Getenv)
	if err != nil {
		return err
	}
	turns, err := hook.NewTurns(policy.Limits.Builds, c.Getenv)
	if err != nil {
		return err
	}
	c.policy = policy
	request.NoBuild, request.Events = false, silent{}
	request.Confinement = &kbld.Confinement{Policy: policy, Folder: folder, Admissions: admissions, Turns: turns}
	return nil
}

// silent drops events. What a call in a cluster prints becomes part of an App's status, and must not differ
// from call to call.
type silent struct{}

// Observe implements [stages.Observer].
func (silent) Observe(stages.Event) {}

// maxMessage is how long an error may be that becomes part of an App's status, in bytes: the first lines
// say what failed, the last ones why.
const maxMessage = 4 << 10

func (c *command) bound(text string) string {
	const cut = "\n…\n"
	if c.policy == nil || len(text) <= maxMessage {
		return text
	}
	half := (maxMessage - len(cut)) / 2
	head, tail := text[:half], text[len(text)-half:]
	for !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	return strings.ToValidUTF8(head, "") + cut + tail
}
