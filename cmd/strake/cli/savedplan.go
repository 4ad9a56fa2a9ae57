package cli

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"strake.dev/strake/internal/planfile"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/pipeline"
	"strake.dev/strake/stages"
)

// saveFlags say where a plan is kept, and who vouches for it.
type saveFlags struct{ out, signKey string }

func (f *saveFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "save the plan to `FILE`, for strake apply; it holds the manifests, with their secrets")
	flags.StringVar(&f.signKey, "sign-key", "", "sign the saved plan with the private key in `FILE`, made by cosign generate-key-pair; its password is in STRAKE_KEY_PASSWORD or COSIGN_PASSWORD")
	fromEnv(flags, "sign-key", "STRAKE_SIGN_KEY")
}

func (f *saveFlags) check(cmd *cobra.Command, until stages.Stage) error {
	switch {
	case f.out == "" && cmd.Flags().Changed("sign-key"):
		return usagef(cmd, "--sign-key is for --out FILE")
	case f.out != "" && until != "" && until != stages.Deploy:
		return usagef(cmd, "--out saves what would be deployed: it can't be combined with --until %s", until)
	default:
		return nil
	}
}

// signer loads the key, before anything else is done; without one it is nil.
func (f *saveFlags) signer(t *tool) (*signing.Signer, error) {
	if f.out == "" || f.signKey == "" {
		return nil, nil
	}
	return signing.LoadSigner(f.signKey, signing.Password(t.lookupEnv))
}

// lookupEnv tells a variable that is empty from one that isn't set.
func (t *tool) lookupEnv(name string) (string, bool) {
	if value := t.getenv(name); value != "" {
		return value, true
	}
	return os.LookupEnv(name)
}

// savePlan writes the plan that a session has led to.
func (t *tool) savePlan(s *session, report *pipeline.Report, file string, signer *signing.Signer) error {
	app := s.plan.App
	p := &planfile.Plan{
		App: planfile.App{
			Name: app.Name, Namespace: app.Namespace, Record: app.Record, UID: app.UID,
			Labels: app.Labels, Annotations: app.Annotations, Identity: app.Identity,
		},
		Created: time.Now().UTC().Truncate(time.Second), Strake: t.version(), Origin: report.Origin,
	}
	for _, step := range report.Saved {
		p.Steps = append(p.Steps, planfile.Step{
			Name: step.Name, Plugin: step.Plugin, Config: step.Config, Timeout: step.Timeout,
			Manifests: string(step.Manifests), Saved: step.Saved,
		})
	}
	return p.Write(file, signer)
}

// restore compiles a saved plan.
func restore(file string, p *planfile.Plan, plugins *stages.Registry) (*pipeline.Plan, []pipeline.SavedStep, error) {
	var steps []pipeline.SavedStep
	for _, s := range p.Steps {
		steps = append(steps, pipeline.SavedStep{
			Name: s.Name, Plugin: s.Plugin, Config: s.Config, Timeout: s.Timeout,
			Manifests: stages.Manifests(s.Manifests), Saved: s.Saved,
		})
	}
	plan, err := pipeline.Restore(file, stages.App{
		Name: p.App.Name, Namespace: p.App.Namespace, Record: p.App.Record, UID: p.App.UID,
		Labels: p.App.Labels, Annotations: p.App.Annotations, Identity: p.App.Identity,
	}, steps, plugins)
	return plan, steps, err
}
