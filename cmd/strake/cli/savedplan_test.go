package cli

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// inHere starts a test in a folder of its own that holds app.yaml and a pair of keys.
func inHere(t *testing.T, app string) {
	t.Helper()
	call(t.Context(), t, nil, app, "validate")
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc([]byte("sesame")))
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cosign.key": private, "cosign.pub": public, "other.pub": other} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// expect calls strake in the working directory.
func expect(t *testing.T, want called, args ...string) {
	t.Helper()
	got := callHere(t.Context(), map[string]string{"STRAKE_KEY_PASSWORD": "sesame"}, args...)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(called{})); diff != "" {
		t.Errorf("strake %s (-want +got):\n%s", strings.Join(args, " "), diff)
	}
}

const twoChanges = `{changes: [{op: update, name: b, image: "r.io/app:2", diff: "-x\n+y\n"}, {op: noop, name: c}]}`

const twoChangesPlanned = `update  Thing/b (default)
        image r.io/app:1 -> r.io/app:2
        image none -> r.io/sidecar:1
        -x
        +y
noop    Thing/c (default)
plan: 1 to update, 1 unchanged
`

func TestSavedPlan(t *testing.T) {
	inHere(t, app("reused", twoChanges))
	expect(t, called{stdout: twoChangesPlanned + "plan: saved to plan.json\n"}, "plan", "--out", "plan.json", "--progress=none")
	expect(t, called{code: 2, stdout: twoChangesPlanned + "plan: signed and saved to signed.json\n"},
		"plan", "--out", "signed.json", "--sign-key", "cosign.key", "--progress=none", "--detailed-exitcode")
	for _, args := range [][]string{{"plan.json"}, {"signed.json"}, {"signed.json", "--verify-key", "cosign.pub"}} {
		expect(t, called{
			stdout: "deploy: 1 updated\ndone in TIME\n",
			stderr: "deploy-put  | applying a: 1 from  by strake v1.2.3\ndeploy-put  update Thing/b (default)\ndeploy-put  done in TIME\n",
		}, append([]string{"apply"}, args...)...)
	}
	hint := "  hint: take the plan from where it was made, or sign it there: strake plan --out FILE --sign-key KEY\n"
	expect(t, called{code: 9, stderr: "strake: plan plan.json: it isn't signed, and a signature by cosign.pub is required\n" + hint}, "apply", "plan.json", "--verify-key", "cosign.pub")
	expect(t, called{code: 5, stderr: "strake: plan signed.json: none of its signatures is by other.pub\n" + hint}, "apply", "signed.json", "--verify-key", "other.pub")
	got := callHere(t.Context(), map[string]string{"STRAKE_VERIFY_KEY": "cosign.pub"}, "apply", "plan.json")
	if got.code != 9 {
		t.Errorf("the key of the environment is not required: %+v", got)
	}
	data, err := os.ReadFile("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(data, []byte(`"a: 1\n"`), []byte(`"a: 2\n"`), 1)
	if bytes.Equal(changed, data) {
		t.Fatalf("no manifests in %s", data)
	}
	if err := os.WriteFile("changed.json", changed, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, called{code: 3, stderr: "changed.json: its digest doesn't fit: the plan has been changed since it was made (make the plan again with strake plan --out)\n"}, "apply", "changed.json")
}

func TestEmptySavedPlan(t *testing.T) {
	inHere(t, app("reused", `{changes: [{op: noop, name: c}], fail: "asked"}`))
	expect(t, called{stdout: "noop    Thing/c (default)\nplan: nothing would be built, pushed or applied: default/demo is up to date\nplan: saved to plan.json\n"},
		"plan", "--out", "plan.json", "--progress=none", "--detailed-exitcode")
	expect(t, called{stdout: "nothing to apply: the plan of default/demo has no changes\n"}, "apply", "plan.json")
}

func TestRefusedPlan(t *testing.T) {
	inHere(t, app("reused", `{changes: [{op: update, name: a}], drift: [thing/a was changed, thing/b is gone]}`))
	callHere(t.Context(), nil, "plan", "--out", "plan.json")
	expect(t, called{code: 6, stderr: "strake: deploy-put (plan.json): thing/a was changed\nthing/b is gone\n  hint: make a new plan with strake plan --out, and look at it again\n"},
		"apply", "plan.json", "--progress=none")
	var v verdict
	got := callHere(t.Context(), nil, "apply", "plan.json", "-o", "json")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil || v.ExitCode != 6 || v.Hint == "" || !strings.Contains(v.Error, "thing/b is gone") {
		t.Errorf("verdict %+v, %v", v, err)
	}
}

func TestPlanThatCannotBeSaved(t *testing.T) {
	inHere(t, app("built", twoChanges))
	expect(t, called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): what the plan needs has to be built and published before it can be saved: app\n  hint: strake run --until publish does so; make the plan then\n"},
		"plan", "--out", "plan.json", "--progress=none")
	if _, err := os.Stat("plan.json"); err == nil {
		t.Error("a plan was saved")
	}
	usage := "  usage: strake plan [flags]\n"
	expect(t, called{code: 1, stderr: "strake: --sign-key is for --out FILE\n" + usage}, "plan", "--sign-key", "cosign.key")
	expect(t, called{code: 1, stderr: "strake: --out saves what would be deployed: it can't be combined with --until build\n" + usage}, "plan", "--out", "x", "--until", "build")
	expect(t, called{code: 1, stderr: "strake: key none.key: no such file or directory\n"}, "plan", "--out", "x", "--sign-key", "none.key")
	expect(t, called{code: 1, stderr: "strake: key cosign.pub: expected a private key, found a public one\n  hint: cosign generate-key-pair writes the private key to cosign.key\n"}, "plan", "--out", "x", "--sign-key", "cosign.pub")
	expect(t, called{code: 3, stderr: "none.json: no such file or directory\n"}, "apply", "none.json")
	expect(t, called{code: 3, stderr: "app.yaml: expected a saved plan: invalid character 'a' looking for beginning of value (make the plan again with strake plan --out)\n"}, "apply", "app.yaml")
	expect(t, called{code: 1, stderr: "strake: expected a saved plan, or an inventory and manifests\n  hint: strake apply NAME with -a, -f or -k applies manifests; strake apply FILE carries out a plan\n  usage: strake apply {PLAN|NAME {-a URL|-f FILE|-k FOLDER}} [flags]\n"}, "apply")
}

func TestHistory(t *testing.T) {
	inHere(t, app("reused", `{revisions: [failed, succeeded, succeeded, succeeded], changes: [{op: update, name: a}]}`))
	expect(t, called{stdout: `REVISION  APPLIED               OUTCOME    OBJECTS  FROM                                   BY         MESSAGE
4         2026-01-04T12:00:00Z  failed     3        https://example.com/repo@012345678901  strake v1  1 updated
3         2026-01-03T12:00:00Z  succeeded  3        https://example.com/repo@012345678901  strake v1  1 updated
2         2026-01-02T12:00:00Z  succeeded  3        https://example.com/repo@012345678901  strake v1  1 updated
1         2026-01-01T12:00:00Z  succeeded  3        https://example.com/repo@012345678901  strake v1  1 updated (manifests not kept)
`}, "history")
	back := "default/demo is back at revision %s (https://example.com/repo@012345678901): 1 updated\n"
	expect(t, called{stdout: strings.ReplaceAll(back, "%s", "3 of 2026-01-03T12:00:00Z")}, "rollback", "--progress=none")
	expect(t, called{
		stdout: strings.ReplaceAll(back, "%s", "2 of 2026-01-02T12:00:00Z"),
		stderr: "deploy-put     | going back to revision 2 of 2026-01-02T12:00:00Z\ndeploy-put     | manifests of revision 2\ndeploy-put     update Thing/a (default)\ndeploy-put     done in TIME\n",
	}, "rollback", "2")
	at := "strake: deploy-put (app.yaml:12:5): no such revision: "
	expect(t, called{code: 1, stderr: at + "7\n  hint: recorded are: 4, 3, 2, 1\n"}, "rollback", "7", "--progress=none")
	expect(t, called{code: 1, stderr: at + "the manifests of revision 1 weren't kept\n"}, "rollback", "1", "--progress=none")
	usage := "  usage: strake rollback [REVISION] [flags]\n"
	expect(t, called{code: 1, stderr: "strake: revision \"x\": expected a number from 1\n  hint: strake history lists the revisions\n" + usage}, "rollback", "x")
	expect(t, called{code: 1, stderr: "strake: expected at most one revision, found 2 arguments\n" + usage}, "rollback", "1", "2")
	expect(t, called{code: 1, stderr: "strake: there is no deploy step \"x\"\n  hint: its deploy steps: deploy-put\n"}, "history", "--step", "x")
}

func TestNoHistory(t *testing.T) {
	inHere(t, app("reused", `{missing: true}`))
	expect(t, called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): not deployed\n"}, "history")
	expect(t, called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): not deployed\n"}, "rollback", "--progress=none")
	inHere(t, app("reused", `{revisions: [succeeded, failed]}`))
	expect(t, called{code: 1, stderr: "strake: deploy-put (app.yaml:12:5): no such revision: no earlier deploy that succeeded is recorded\n"}, "rollback", "--progress=none")
	inHere(t, strings.Replace(app("reused", "{}"), "  - put: {}", "  - put: {}\n  - put: {}", 1))
	expect(t, called{code: 1, stderr: "strake: there are 2 deploy steps\n  hint: name one with --step: deploy-put, deploy-put-2\n"}, "rollback", "--progress=none")
}

func TestApps(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("KUBECONFIG", "none")
	const header = "NAMESPACE  NAME  PLUGIN  OBJECTS  OUTCOME    APPLIED  FROM  BY\n"
	expect(t, called{stdout: header + "default    api   put     -        -          -        -     -\nteam       web   put     3        succeeded  120m     here  strake v1\n"}, "apps", "-A")
	expect(t, called{stdout: header + "team       web   put     3        succeeded  120m     here  strake v1\n"}, "apps", "-n", "team")
	expect(t, called{stdout: "no app is deployed in namespace none\n"}, "apps", "-n", "none")
	expect(t, called{code: 1, stderr: "strake: apps of put: you may not\n"}, "apps", "-n", "forbidden")
	expect(t, called{code: 1, stderr: "strake: --namespace and --all-namespaces can't be given together\n  usage: strake apps [flags]\n"}, "apps", "-A", "-n", "x")
	got := callHere(t.Context(), nil, "apps", "-n", "none", "-o", "json")
	if !strings.Contains(got.stdout, `"apps":[]`) {
		t.Errorf("expected an empty list, found %s", got.stdout)
	}
}

func TestLimits(t *testing.T) {
	inHere(t, app("reused", `{limits: true}`))
	expect(t, called{
		stdout: "nothing was built, pushed or applied: default/demo is up to date (TIME)\nlock: app.lock.yaml written\n",
		stderr: `fetch-files    done in TIME
template-docs  done in TIME
build-images   RUN true: cached
build-images   image app reused: r.io/app@sha256:1 (because)
build-images   done in TIME
deploy-put     | limits: 5m0s 80 true; manifests in a file: true
deploy-put     done in TIME
`,
	}, "run", "--object-timeout", "5m", "--max-prune=80", "--allow-empty")
	expect(t, called{code: 1, stderr: "strake: invalid argument \"101\" for \"--max-prune\" flag: expected a percentage from 1 to 100\n  usage: strake run [flags]\n"}, "run", "--max-prune=101")
	env := map[string]string{"STRAKE_OBJECT_TIMEOUT": "1m", "STRAKE_MAX_PRUNE": "7", "STRAKE_ALLOW_EMPTY": "true"}
	if got := callHere(t.Context(), env, "run"); !strings.Contains(got.stderr, "limits: 1m0s 7 true") {
		t.Errorf("limits of the environment: %+v", got)
	}
}

func TestHeld(t *testing.T) {
	inHere(t, app("reused", `{held: "ann@laptop/42"}`))
	expect(t, called{code: 7, stderr: "strake: deploy-put (app.yaml:12:5): default/demo is being deployed by ann@laptop/42 since 2026-01-01T12:00:00Z\n"}, "run", "--progress=none")
}
