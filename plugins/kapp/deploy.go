package kapp

import (
	"errors"
	"fmt"

	cmdapp "carvel.dev/kapp/pkg/kapp/cmd/app"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strake.dev/strake/stages"
)

// deploy finds out what there is to do, and does it. kapp's own deploy writes to the app's record
// even when nothing has changed, and before it has looked at the manifests; so it is asked first
// what it would do, which writes nothing, and is started only when that is possible and something.
func (s *session) deploy(c Config, m stages.Manifests) (stages.Result, error) {
	found, err := s.preflight(c, m)
	if err != nil {
		return stages.Result{}, err
	}
	ask := newScreen(s.events)
	transcribe(ask, s.transcript)
	pending, only, err := s.diff(c, m, ask, false)
	switch {
	case err != nil:
		return stages.Result{}, err
	case !pending:
		s.associate(s.appFlags())
		return stages.Result{Skipped: fmt.Sprintf("nothing to apply: %s up to date", count(found.objects, "object is", "objects are"))}, nil
	case only:
		return stages.Result{Skipped: fmt.Sprintf("nothing was applied: rawOptions has --diff-run; %s", count(len(ask.rows), "change is", "changes are")+" pending")}, nil
	}
	if found.createRecordNamespace {
		if err := s.createNamespace(s.target.record); err != nil {
			return stages.Result{}, err
		}
	}
	out := newScreen(s.events)
	transcribe(out, s.transcript)
	f, err := s.prepare(out, c.args()...)
	if err != nil {
		return stages.Result{}, err
	}
	f.deploy.DiffFlags.Changes, f.deploy.DiffFlags.ChangesYAML = false, false
	f.use(m)
	err = call(s.ctx, f.deploy.Run)
	out.finish(err)
	s.associate(s.appFlags())
	return stages.Result{}, s.explain(err, out)
}

// plan lists what deploy would change.
func (s *session) plan(c Config, m stages.Manifests) ([]stages.Change, error) {
	found, err := s.preflight(c, m)
	if err != nil {
		return nil, err
	}
	out := newScreen(s.events)
	if _, _, err := s.diff(c, m, out, true); err != nil {
		return nil, err
	}
	changes := make([]stages.Change, 0, len(out.rows))
	for i, r := range out.rows {
		change := r.change()
		if i < len(out.diffs) {
			change.Diff = out.diffs[i]
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		stages.Log(s.events, count(found.objects, "object is", "objects are")+" up to date")
	}
	return changes, nil
}

// diff lets kapp compare manifests and cluster. It tells whether there is something to do, and
// whether the options allow no more than asking.
func (s *session) diff(c Config, m stages.Manifests, out *screen, text bool) (pending, only bool, err error) {
	f, err := s.prepare(out, c.args()...)
	if err != nil {
		return false, false, err
	}
	only = f.deploy.DiffFlags.Run
	f.deploy.DiffFlags.Run, f.deploy.DiffFlags.ExitStatus = true, true
	f.deploy.DiffFlags.Changes, f.deploy.DiffFlags.ChangesYAML = text, false
	f.use(m)
	err = call(s.ctx, f.deploy.Run)
	if status := (cmdapp.DeployDiffExitStatus{}); errors.As(err, &status) {
		return !status.HasNoChanges, only, nil
	}
	if err == nil {
		err = errors.New("kapp's library didn't tell whether there are changes")
	}
	return false, only, s.explain(err, out)
}

// use makes kapp deploy the manifests.
func (f *flags) use(m stages.Manifests) {
	f.followLogs(m)
	f.deploy.FileSystem = manifestsFS(m)
	f.deploy.FileFlags.Files = []string{manifestsName}
}

// change is what a row of kapp's table of changes says.
func (r row) change() stages.Change {
	o := r.object()
	change := stages.Change{Op: r.text("op"), Kind: r.text("kind"), Namespace: o.namespace, Name: o.name}
	switch change.Op {
	case "":
		// kapp only waits for such an object.
		change.Op, change.Reason = "noop", "not ready yet"
		if info := r.text("reconcile_info"); info != "" {
			change.Reason += ": " + info
		}
	case "create":
		change.Reason = "not in the cluster"
	case "update":
		change.Reason = "differs from the cluster"
	case "delete":
		change.Reason = "no longer in the manifests"
	case "exists":
		change.Reason = "has to be made by somebody else"
	}
	if strategy := r.text("op_strategy"); strategy != "" {
		change.Reason += " (" + strategy + ")"
	}
	return change
}

// createNamespace makes the namespace of the record when the manifests bring it themselves: kapp
// writes its record before any object. kapp then finds the namespace and takes it over.
func (s *session) createNamespace(name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := s.clients.core.CoreV1().Namespaces().Create(s.ctx, ns, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return fmt.Errorf("namespace %s: %w", name, stopped(s.ctx, s.target.cluster.Explain(err)))
	}
	s.events.Observe(stages.Event{Type: stages.ChangeMade, Change: &stages.Change{
		Op: "create", Kind: "Namespace", Name: name, Reason: "holds the app's record",
	}})
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
