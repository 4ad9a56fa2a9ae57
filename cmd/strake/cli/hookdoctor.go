package cli

import (
	"fmt"
	"io"

	kbldcmd "carvel.dev/kbld/pkg/kbld/cmd"
	"github.com/spf13/cobra"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/internal/hook/doctor"
	"strake.dev/strake/internal/render"
)

func newHookDoctorCommand(t *tool) *cobra.Command {
	var opts outputFlags
	var tools []string
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check that builds in a kapp-controller have what they need",
		Long: `Check, in the container that kapp-controller runs its tools in, that these are
strake, that the policy can be read, that the key of stamps is private, that the
BuildKit daemons answer, and that images may be pushed to the allowed places.
It says of each thing that is missing what to do. It builds and pushes nothing.`,
		Example: "  kubectl exec -n kapp-controller deploy/kapp-controller -c kapp-controller-sidecarexec -- /strake/bin/strake hook doctor",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.conclude(cmd.Context(), "hook doctor", &opts, func(*render.JSON) (printable, error) {
				result := &doctorResult{Checks: doctor.Examine(cmd.Context(), doctor.Options{Tools: trimmed(tools), Getenv: t.getenv, Clients: t.hookClients})}
				return result, result.err()
			})
		},
	}
	opts.addFormat(cmd)
	tools = []string{"vendir", "ytt", "kbld"}
	cmd.Flags().StringSliceVar(&tools, "tools", tools, "what is to be strake: `NAMES` with commas in between")
	return cmd
}

// hookClients makes the clients that a kbld uses under a policy.
func (t *tool) hookClients(policy *hook.Policy) (doctor.Builder, doctor.Registry, error) {
	deps, err := t.clients(kbldcmd.RegistryFlags{VerifyCerts: true}, policy)
	if err != nil {
		return nil, nil, err
	}
	return deps.Builder, deps.Registry, nil
}

// A doctorResult is what was checked.
type doctorResult struct {
	Checks []doctor.Check `json:"checks"`
}

func (r *doctorResult) err() error {
	bad := 0
	for _, c := range r.Checks {
		if !c.OK {
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks failed", bad, len(r.Checks))
}

func (r *doctorResult) print(w io.Writer) {
	var rows [][]string
	for _, c := range r.Checks {
		state := "ok"
		if !c.OK {
			state = "failed"
		}
		rows = append(rows, []string{state, c.Name, c.Detail})
	}
	table(w, []string{"STATE", "CHECK", "FOUND"}, rows)
	for _, c := range r.Checks {
		if !c.OK {
			fmt.Fprintf(w, "\n%s: %s\n  hint: %s\n", render.Line(c.Name), render.Line(c.Detail), render.Line(c.Fix))
		}
	}
}
