package artifact_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	gcr "github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"

	oci "strake.dev/strake/internal/artifact"
	"strake.dev/strake/internal/cosign"
	"strake.dev/strake/internal/provenance"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/internal/signing"
	"strake.dev/strake/plugins/artifact"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

const (
	workload = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: r.io/web@" + digest + "}]}\n"
	secret   = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: open-sesame}\n"
)

type world struct {
	host    string
	client  *registry.Client
	uploads atomic.Int64
	deny    atomic.Bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead && w.deny.Load():
			rw.WriteHeader(http.StatusForbidden)
			return
		case r.Method == http.MethodPut:
			w.uploads.Add(1)
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	var err error
	if w.client, err = registry.New(registry.Options{FirstWait: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) plugin() stages.Plugin { return artifact.Plugin(artifact.Deps{Registry: w.client}) }

func (w *world) job(t *testing.T, manifests string) *stages.Job {
	t.Helper()
	job := stagetest.NewJob(t, stagetest.Case{Manifests: manifests})
	job.Cache = t.TempDir()
	job.Origin = stages.Origin{Source: "https://git/x", Revision: "main@sha1:1"}
	job.SourceDates = map[string]time.Time{"a": time.Unix(1e9, 0), "b": time.Unix(2e9, 0)}
	job.Resolved = []schema.LockedImage{{Image: "r.io/web@" + digest, Annotations: map[string]string{schema.AnnotationImageID: "web", "kbld.carvel.dev/origins": "- built"}}}
	return job
}

func (w *world) bind(t *testing.T, more string) stages.Step {
	t.Helper()
	return stagetest.Bind(t, w.plugin(), "url: oci://"+w.host+"/app:1\n"+more)
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	stagetest.Run(t, w.plugin(),
		stagetest.Case{Name: "push", Config: "url: oci://" + w.host + "/app:1\ntags: [latest, '1']\n", Manifests: workload},
		stagetest.Case{Name: "bundle", Config: "url: oci://" + w.host + "/bundle:1\nformat: bundle\n", Manifests: workload},
		stagetest.Case{Name: "nothing", Config: "url: oci://" + w.host + "/app:1\n", Manifests: "# nothing\n", WantError: "there are no Kubernetes objects"},
		stagetest.Case{Name: "secret", Config: "url: oci://" + w.host + "/app:1\n", Manifests: workload + secret, WantError: "the values of Secret/db would be readable", WantHint: "plainSecrets: true"},
		stagetest.Case{Name: "plain secret", Config: "url: oci://" + w.host + "/app:1\nplainSecrets: true\n", Manifests: workload + secret},
	)
	stagetest.RunBad(t, w.plugin(),
		stagetest.BadConfig{Name: "no URL", Config: "tags: [a]\n", Want: "url"},
		stagetest.BadConfig{Name: "scheme", Config: "url: ghcr.io/org/app:1\n", Want: "is not the URL of an artifact"},
		stagetest.BadConfig{Name: "tag", Config: "url: oci://r.io/app:1\ntags: ['a b']\n", Want: "tag \"a b\""},
		stagetest.BadConfig{Name: "recipient", Config: "url: oci://r.io/app:1\nencrypt: {recipients: [nobody]}\n", Want: "recipients: "},
		stagetest.BadConfig{Name: "encrypted bundle", Config: "url: oci://r.io/app:1\nformat: bundle\nencrypt: {recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p], what: all}\n", Want: "can't be encrypted as a whole"},
	)
}

// TestPublish checks what is pushed, that it is pushed once, and that a plan says so.
func TestPublish(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	encrypt := "encrypt: {recipients: [" + id.Recipient().String() + "], what: "
	for name, more := range map[string]string{"plain": "plainSecrets: true", "secrets": encrypt + "secrets}", "all": encrypt + "all}"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			step, job := w.bind(t, "tags: [latest]\n"+more), w.job(t, workload+secret)
			planner, ok := step.(stages.Planner)
			if !ok {
				t.Fatal("no plan")
			}
			_, changes, err := planner.Plan(t.Context(), job)
			if err != nil || len(changes) != 1 || changes[0].Op != "push" || changes[0].Name != "oci://"+w.host+"/app:1" || w.uploads.Load() > 0 {
				t.Fatalf("plan: %+v, %v, %d uploads", changes, err, w.uploads.Load())
			}
			first, err := step.Run(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			before := w.uploads.Load()
			second, err := step.Run(t.Context(), job)
			if diff := cmp.Diff(first.Origin, second.Origin); diff != "" || err != nil || w.uploads.Load() != before {
				t.Errorf("again: %v, %+v\n%s", err, second, diff)
			}
			if _, changes, err := planner.Plan(t.Context(), job); err != nil || len(changes) > 0 {
				t.Errorf("plan after it: %+v, %v", changes, err)
			}
			ref, err := oci.ParseURL("oci://" + w.host + "/app:latest")
			if err != nil {
				t.Fatal(err)
			}
			a, err := oci.Pull(t.Context(), w.client, ref, oci.Options{Identities: []oci.Identity{id}})
			if err != nil {
				t.Fatal(err)
			}
			if want := "1@" + a.Ref.DigestStr(); first.Origin.Revision != want || first.Origin.Source != "oci://"+w.host+"/app" {
				t.Errorf("origin %+v, expected the revision %s", first.Origin, want)
			}
			if a.Source != "https://git/x" || a.Revision != "main@sha1:1" || a.Created != "2033-05-18T03:33:20Z" || len(a.Images) != 1 || a.Images[0].Annotations["kbld.carvel.dev/origins"] == "" {
				t.Errorf("%+v", a)
			}
			if text := string(a.Files["all.yaml"]); !strings.Contains(text, "open-sesame") || !strings.Contains(text, digest) {
				t.Errorf("manifests:\n%s", text)
			}
			if name != "plain" {
				if raw, err := oci.Pull(t.Context(), w.client, ref, oci.Options{}); err == nil && strings.Contains(string(raw.Files["all.yaml"]), "open-sesame") {
					t.Error("readable without the key")
				}
			}
			changed, err := step.Run(t.Context(), func() *stages.Job {
				other := *job
				other.Manifests = stages.Manifests(workload + strings.Replace(secret, "sesame", "other", 1))
				return &other
			}())
			if err != nil || changed.Origin.Revision == first.Origin.Revision {
				t.Errorf("changed: %+v, %v", changed, err)
			}
		})
	}
}

// TestSigned checks that the artifact is signed, once, before its tags name it, and with encrypted content
// also if the key comes later.
func TestSigned(t *testing.T) {
	private, public, err := signing.Generate(filepath.Join(t.TempDir(), "cosign"), []byte("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signing.LoadVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("COSIGN_PASSWORD", "sesame")
	for name, c := range map[string]struct{ more, later string }{
		"file":      {"sign: {key: " + private + "}", ""},
		"secret":    {"sign: {keyRef: {name: cosign}, form: sig}", ""},
		"encrypted": {"encrypt: {recipients: [" + id.Recipient().String() + "]}\n", "sign: {key: " + private + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			job := w.job(t, workload)
			job.Objects = stagetest.Objects{Secrets: map[string]map[string]string{"cosign": {"cosign.key": string(text), "cosign.password": "sesame"}}}
			if c.later != "" {
				if _, err := w.bind(t, c.more).Run(t.Context(), job); err != nil {
					t.Fatal(err)
				}
			}
			step := w.bind(t, c.more+c.later)
			for range 2 {
				r, err := step.Run(t.Context(), job)
				if err != nil {
					t.Fatal(err)
				}
				ref, err := gcr.NewDigest(r.Origin.Artifacts[0])
				if err != nil {
					t.Fatal(err)
				}
				about, err := provenance.Read(t.Context(), w.client, ref)
				about = slices.DeleteFunc(about, func(f provenance.Found) bool { return !f.Signed })
				if err != nil || len(about) != 1 || !about[0].Signed || len(about[0].BuildDefinition.ResolvedDependencies) != 1 {
					t.Errorf("provenance %+v, %v", about, err)
				}
				if v, err := cosign.Verify(t.Context(), w.client, ref, cosign.Requirement{Keys: []*signing.Verifier{verifier}}); err != nil || len(v.Signers) == 0 {
					t.Errorf("%+v, %v", v, err)
				}
			}
		})
	}
	w := newWorld(t)
	t.Setenv("COSIGN_PASSWORD", "wrong")
	if _, err := w.bind(t, "sign: {key: "+private+"}").Run(t.Context(), w.job(t, workload)); err == nil || w.uploads.Load() > 0 {
		t.Errorf("a wrong password: %v, %d uploads", err, w.uploads.Load())
	}
	stagetest.RunBad(t, w.plugin(), stagetest.BadConfig{Name: "no key", Config: "url: oci://r.io/app:1\nsign: {}\n", Want: "expected one of key and keyRef"})
}

// TestProvisional checks that a plan doesn't promise a digest before the images are built.
func TestProvisional(t *testing.T) {
	w := newWorld(t)
	job := w.job(t, workload)
	job.Provisional = true
	planner, ok := w.bind(t, "").(stages.Planner)
	if !ok {
		t.Fatal("no plan")
	}
	r, changes, err := planner.Plan(t.Context(), job)
	if err != nil || len(changes) != 1 || changes[0].Reason != "its images are yet to be built" || r.Origin.Revision != "" {
		t.Errorf("%+v, %+v, %v", r, changes, err)
	}
}

// TestDenied checks that missing rights are noticed before anything else is done.
func TestDenied(t *testing.T) {
	w := newWorld(t)
	w.deny.Store(true)
	checker, ok := w.bind(t, "").(stages.Checker)
	if !ok {
		t.Fatal("no check")
	}
	err := checker.Check(t.Context(), w.job(t, workload))
	if err == nil || !strings.Contains(err.Error(), w.host+"/app:1") || !strings.Contains(stages.Hint(err), "docker login") {
		t.Errorf("%v, hint %q", err, stages.Hint(err))
	}
}
