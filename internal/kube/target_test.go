package kube

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// secretObjects are the Secrets of a test.
type secretObjects map[string]map[string][]byte

func (o secretObjects) Secret(_ context.Context, name string) (map[string][]byte, error) {
	data, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("Secret %s: %w", name, stages.ErrNoObject)
	}
	return data, nil
}

func (o secretObjects) ConfigMap(context.Context, string) (map[string][]byte, error) {
	return nil, stages.ErrNoObject
}

func TestTargetVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.36.3": "1.36.3", "v1.36.3-gke.100": "1.36.3", "v1.36.3+k3s1": "1.36.3", "newest": "",
	} {
		asked := 0
		_, config := server(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			reply(w, http.StatusOK, map[string]string{"gitVersion": version})
		})
		write(t, config)
		target := New(Options{}).Target(stages.App{}, secretObjects{})
		for range 2 {
			got, err := target.Version(t.Context())
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%s: expected %q, found %q, %v", version, want, got, err)
			}
		}
		if want != "" && asked != 1 {
			t.Errorf("%s: expected one question, found %d", version, asked)
		}
	}
}

// The cluster of an App that names another one is that one.
func TestTargetOfAnotherCluster(t *testing.T) {
	_, other := server(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"gitVersion": "v1.30.1"})
	})
	file, err := os.ReadFile(write(t, other))
	if err != nil {
		t.Fatal(err)
	}
	_, here := server(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"gitVersion": "v1.36.3"})
	})
	write(t, here)
	app := stages.App{Identity: schema.Identity{Cluster: &schema.Cluster{
		KubeconfigSecretRef: &schema.SecretKeyRef{Name: "other", Key: "value"},
	}}}
	target := New(Options{}).Target(app, secretObjects{"other": {"value": file}})
	if got, err := target.Version(t.Context()); err != nil || got != "1.30.1" {
		t.Errorf("expected the other cluster's version, found %q, %v", got, err)
	}
	if _, err := New(Options{}).Target(app, secretObjects{}).GroupVersions(t.Context()); err == nil {
		t.Error("expected an error without the Secret")
	}
}

// What a real API server serves.
func TestTargetOfTheSandbox(t *testing.T) {
	if os.Getenv("STRAKE_SANDBOX_REGISTRY") == "" {
		t.Skip("needs the sandbox's environment")
	}
	target := New(Options{}).Target(stages.App{}, secretObjects{})
	version, err := target.Version(t.Context())
	if err != nil || !plainVersion.MatchString(version) {
		t.Fatalf("expected a version, found %q, %v", version, err)
	}
	found, err := target.GroupVersions(t.Context())
	if err != nil || !slices.Contains(found, "v1") || !slices.Contains(found, "apps/v1") {
		t.Errorf("expected v1 and apps/v1 among the APIs, found %v, %v", found, err)
	}
}
