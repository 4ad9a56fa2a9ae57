package revisions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

// A server keeps Secrets and counts what it is asked.
type server struct {
	mu      sync.Mutex
	secrets map[string]*core.Secret
	asked   map[string]int
	forbid  string
}

func newServer(t *testing.T) (*server, kubernetes.Interface) {
	t.Helper()
	s := &server{secrets: map[string]*core.Secret{}, asked: map[string]int{}}
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: at.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/team/secrets"), "/")
	s.asked[r.Method]++
	fail := func(code int, reason metav1.StatusReason) {
		answer(w, code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(code), Reason: reason, Message: string(reason)})
	}
	var sent core.Secret
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			fail(http.StatusBadRequest, metav1.StatusReasonBadRequest)
			return
		}
	}
	found := s.secrets[name]
	switch {
	case r.Method == s.forbid:
		fail(http.StatusForbidden, metav1.StatusReasonForbidden)
	case r.Method == http.MethodPost && s.secrets[sent.Name] != nil:
		fail(http.StatusConflict, metav1.StatusReasonAlreadyExists)
	case r.Method == http.MethodPost:
		s.secrets[sent.Name] = &sent
		answer(w, http.StatusCreated, sent)
	case name == "":
		list := metav1.PartialObjectMetadataList{}
		for _, secret := range s.secrets {
			if secret.Labels[labelRevision] != "" {
				list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: secret.ObjectMeta})
			}
		}
		answer(w, http.StatusOK, list)
	case found == nil:
		fail(http.StatusNotFound, metav1.StatusReasonNotFound)
	case r.Method == http.MethodDelete:
		delete(s.secrets, name)
		answer(w, http.StatusOK, metav1.Status{Status: "Success"})
	case r.Method == http.MethodPatch:
		maps.Copy(found.Annotations, sent.Annotations)
		answer(w, http.StatusOK, found)
	default:
		answer(w, http.StatusOK, found)
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *server) requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = map[string]int{} }()
	return s.asked
}

func deploy(t *testing.T, s *Store, manifests, outcome string) int {
	t.Helper()
	number, err := s.Begin(t.Context(), stages.Revision{Objects: 1, By: "strake v1"}, stages.Manifests(manifests))
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Finish(ended, number, outcome, "1 created"); err != nil {
		t.Fatal(err)
	}
	return number
}

func TestHistory(t *testing.T) {
	at, client := newServer(t)
	s := &Store{Client: client, Namespace: "team", App: "web.app", Plugin: "kapp"}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without a deploy: %v, %v", all, err)
	}
	at.requests()
	deploy(t, s, "one", Succeeded)
	if diff := cmp.Diff(map[string]int{"GET": 1, "POST": 1, "PATCH": 1}, at.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if _, err := s.Begin(t.Context(), stages.Revision{Origin: stages.Origin{Revision: "abc"}}, stages.Manifests("two")); err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("found %v, %v", all, err)
	}
	if time.Since(all[0].Applied) > time.Minute {
		t.Errorf("applied %s", all[0].Applied)
	}
	all[0].Applied, all[1].Applied = time.Time{}, time.Time{}
	want := []stages.Revision{
		{Number: 2, Outcome: Unfinished, Digest: stages.Manifests("two").Digest(), Origin: stages.Origin{Revision: "abc"}, Kept: true},
		{Number: 1, Outcome: Succeeded, Digest: stages.Manifests("one").Digest(), Objects: 1, By: "strake v1", Message: "1 created", Kept: true},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if m, err := s.Recall(t.Context(), 1); err != nil || string(m) != "one" {
		t.Errorf("recalled %q, %v", m, err)
	}
	if _, err := s.Recall(t.Context(), 3); !errors.Is(err, stages.ErrNoRevision) {
		t.Errorf("a revision that isn't there: %v", err)
	}
}

// The newest are kept, and the latest to which one can go back.
func TestTrim(t *testing.T) {
	_, client := newServer(t)
	s := &Store{Client: client, Namespace: "team", App: "web", Plugin: "kapp"}
	for i := range 15 {
		outcome := Failed
		if i == 2 || i == 1 {
			outcome = Succeeded
		}
		deploy(t, s, fmt.Sprint(i), outcome)
	}
	var numbers []int
	all, err := s.List(t.Context())
	for _, r := range all {
		numbers = append(numbers, r.Number)
	}
	if want := []int{15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 3}; err != nil || !slices.Equal(numbers, want) {
		t.Errorf("expected %v, found %v, %v", want, numbers, err)
	}
}

// noise doesn't compress.
func noise(n int) string {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(b)
	return string(b)
}

func TestLarge(t *testing.T) {
	at, client := newServer(t)
	s := &Store{Client: client, Namespace: "team", App: "web", Plugin: "kapp"}
	manifests := noise(3 << 20)
	deploy(t, s, manifests, Succeeded)
	if n := len(at.secrets); n != 4 {
		t.Errorf("expected 4 Secrets, found %d", n)
	}
	for _, secret := range at.secrets {
		if n := len(secret.Data[dataKey]); n > core.MaxSecretSize {
			t.Errorf("Secret %s has %d bytes", secret.Name, n)
		}
	}
	if m, err := s.Recall(t.Context(), 1); err != nil || string(m) != manifests {
		t.Errorf("recalled %d bytes, %v", len(m), err)
	}
	delete(at.secrets, "web.strake.v1.3")
	if _, err := s.Recall(t.Context(), 1); !errors.Is(err, stages.ErrNoRevision) {
		t.Errorf("without a part: %v", err)
	}
	deploy(t, s, noise(6<<20), Succeeded)
	all, err := s.List(t.Context())
	if err != nil || all[0].Kept || !all[1].Kept {
		t.Errorf("found %v, %v", all, err)
	}
	if _, err := s.Recall(t.Context(), 2); !errors.Is(err, stages.ErrNoRevision) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("manifests that weren't kept: %v", err)
	}
	for range Kept {
		deploy(t, s, "small", Succeeded)
	}
	if n := len(at.secrets); n != Kept {
		t.Errorf("expected that all parts are trimmed, found %d Secrets", n)
	}
}

func TestTampered(t *testing.T) {
	at, client := newServer(t)
	s := &Store{Client: client, Namespace: "team", App: "web", Plugin: "kapp"}
	deploy(t, s, "one", Succeeded)
	secret := at.secrets["web.strake.v1"]
	other, err := pack(stages.Manifests("other"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){
		"changed":      func() { secret.Data = map[string][]byte{dataKey: other[0]} },
		"garbage":      func() { secret.Data = map[string][]byte{dataKey: []byte("garbage")} },
		"empty":        func() { secret.Data = nil },
		"other type":   func() { secret.Type = core.SecretTypeOpaque },
		"other record": func() { secret.Annotations[annotationRecord] = "{" },
		"other chunks": func() { secret.Annotations[annotationChunks] = "1000000000" },
	} {
		whole := secret.DeepCopy()
		change()
		if m, err := s.Recall(t.Context(), 1); err == nil {
			t.Errorf("%s: recalled %q", name, m)
		}
		*secret = *whole
	}
	secret.Annotations[annotationRecord] = "{"
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("listed %v, %v", all, err)
	}
	if n, err := s.Begin(t.Context(), stages.Revision{}, stages.Manifests("two")); err != nil || n != 2 {
		t.Errorf("the next number is %d, %v", n, err)
	}
}

func TestForbidden(t *testing.T) {
	at, client := newServer(t)
	s := &Store{Client: client, Namespace: "team", App: "web", Plugin: "kapp"}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		at.forbid = method
		if _, err := s.Begin(t.Context(), stages.Revision{}, nil); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestLongNames(t *testing.T) {
	long := strings.Repeat("a", 252)
	a, b := &Store{App: long + "a"}, &Store{App: long + "b"}
	if n := len(a.name(123456, 4)); n > 253 || len(a.labels()[labelApp]) > 63 {
		t.Errorf("name of %d, label of %d characters", n, len(a.labels()[labelApp]))
	}
	if a.name(1, 0) == b.name(1, 0) || a.labels()[labelApp] == b.labels()[labelApp] {
		t.Error("two apps have one name")
	}
}

// A real API server keeps records, lists their metadata, and takes them along with their owner.
func TestSandbox(t *testing.T) {
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" {
		t.Skip("needs the sandbox's environment")
	}
	// The test's own context has ended when the owner is deleted.
	config, err := kube.New(kube.Options{}).Config(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	configMaps := client.CoreV1().ConfigMaps("default")
	owner, err := configMaps.Create(t.Context(), &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "revisions-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := owner.Name
	t.Cleanup(func() {
		_ = configMaps.Delete(context.Background(), name, metav1.DeleteOptions{}) // it may be gone
	})
	s := &Store{
		Client: client, Namespace: "default", App: name, Plugin: "kapp",
		Owner: &metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: owner.UID},
	}
	large := noise(1500 << 10)
	deploy(t, s, "small", Succeeded)
	deploy(t, s, large, Failed)
	all, err := s.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Outcome != Failed || all[1].Message != "1 created" {
		t.Errorf("listed %v, %v", all, err)
	}
	if m, err := s.Recall(t.Context(), 2); err != nil || string(m) != large {
		t.Errorf("recalled %d bytes, %v", len(m), err)
	}
	if err := configMaps.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 150 {
		if all, err = s.List(t.Context()); err == nil && len(all) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the records outlive the app: %v, %v", all, err)
}
