package kube

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"strake.dev/strake/stages"
)

const secretToken = "sesame-open-4711"

// server is an API server that answers with the handler, and the kubeconfig for it.
func server(t *testing.T, h http.HandlerFunc) (*httptest.Server, *api.Config) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: s.URL, CertificateAuthorityData: pem(s)}
	config.AuthInfos["u"] = &api.AuthInfo{Token: secretToken}
	config.Contexts["here"] = &api.Context{Cluster: "c", AuthInfo: "u", Namespace: "team"}
	config.CurrentContext = "here"
	return s, config
}

// write puts a kubeconfig into a file, and makes it the only one that can be found.
func write(t *testing.T, config *api.Config) string {
	t.Helper()
	alone(t)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	return file
}

// alone hides all kubeconfigs of the machine.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func status(w http.ResponseWriter, code int, reason, message string) {
	reply(w, code, map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code,
	})
}

func TestReach(t *testing.T) {
	silent := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		change  func(*httptest.Server, *api.Config)
		want    string
		hint    string
	}{
		"well": {handler: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/version" || r.Header.Get("Authorization") != "Bearer "+secretToken {
				status(w, http.StatusBadRequest, "BadRequest", "unexpected request "+r.URL.Path)
				return
			}
			reply(w, http.StatusOK, map[string]string{"gitVersion": "v1.36.3"})
		}},
		"unauthorized": {
			handler: func(w http.ResponseWriter, _ *http.Request) {
				status(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
			},
			want: "doesn't accept the credentials (401 Unauthorized)",
			hint: `context "here"`,
		},
		"refused": {
			change: func(s *httptest.Server, _ *api.Config) { s.Close() },
			want:   "can't be reached: connection refused",
			hint:   "is the cluster running",
		},
		"foreign certificate": {
			change: func(_ *httptest.Server, c *api.Config) { c.Clusters["c"].CertificateAuthorityData = otherCA(t) },
			want:   "isn't trusted: x509: certificate signed by unknown authority",
			hint:   "certificate-authority-data",
		},
		"wrong host name": {
			change: func(_ *httptest.Server, c *api.Config) { c.Clusters["c"].TLSServerName = "kubernetes.invalid" },
			want:   "isn't trusted: x509: certificate is valid for",
		},
		"unknown host": {
			change: func(_ *httptest.Server, c *api.Config) { c.Clusters["c"].Server = "https://kubernetes.invalid:6443" },
			want:   "its host name kubernetes.invalid can't be resolved",
		},
		"plain HTTP": {
			change: func(_ *httptest.Server, c *api.Config) {
				plain := httptest.NewServer(http.NotFoundHandler())
				t.Cleanup(plain.Close)
				c.Clusters["c"].Server = strings.Replace(plain.URL, "http:", "https:", 1)
			},
			want: "answers with plain HTTP instead of HTTPS",
		},
		"silent": {
			handler: func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-silent:
				case <-r.Context().Done():
				}
			},
			want: "it didn't answer within 5s",
		},
		"user in URL": {
			change: func(s *httptest.Server, c *api.Config) {
				c.Clusters["c"].Server = strings.Replace(s.URL, "https://", "https://me:"+secretToken+"@", 1)
				s.Close()
			},
			want: "can't be reached: connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, config := server(t, c.handler)
			if c.change != nil {
				c.change(s, config)
			}
			write(t, config)
			cluster := New(Options{})
			err := cluster.Reach(t.Context())
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("expected an error with %q, found %v", c.want, err)
			}
			if host := cluster.Host(); !strings.Contains(err.Error(), host) {
				t.Errorf("error doesn't name the server %s: %v", host, err)
			}
			if !strings.Contains(stages.Hint(err), c.hint) || stages.Hint(err) == "" {
				t.Errorf("expected a hint with %q, found %q", c.hint, stages.Hint(err))
			}
			if strings.Contains(err.Error()+stages.Hint(err), secretToken) {
				t.Errorf("error holds the token: %v", err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	_, config := server(t, http.NotFound)
	t.Run("nothing is touched before it is needed", func(t *testing.T) {
		alone(t)
		New(Options{Kubeconfig: "/does/not/exist"})
	})
	for name, c := range map[string]struct {
		setup func(t *testing.T) Options
		want  string
		hint  string
	}{
		"nothing anywhere": {
			setup: func(t *testing.T) Options { alone(t); return Options{} },
			want:  ".kube/config (no such file), the pod's service account (not in a pod)",
			hint:  "set KUBECONFIG or give --kubeconfig",
		},
		"missing flag file": {
			setup: func(t *testing.T) Options { alone(t); return Options{Kubeconfig: "/does/not/exist"} },
			want:  "kubeconfig /does/not/exist: no such file",
			hint:  "check --kubeconfig",
		},
		"broken file": {
			setup: func(t *testing.T) Options {
				alone(t)
				file := filepath.Join(t.TempDir(), "broken")
				if err := os.WriteFile(file, []byte("a: [\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return Options{Kubeconfig: file}
			},
			want: "error loading config file",
		},
		"unknown context": {
			setup: func(t *testing.T) Options { write(t, config); return Options{Context: "hare"} },
			want:  `has no context "hare"`,
			hint:  "did you mean here?",
		},
		"no current context": {
			setup: func(t *testing.T) Options {
				c := config.DeepCopy()
				c.CurrentContext = ""
				write(t, c)
				return Options{}
			},
			want: "has no current context",
			hint: "its contexts: here",
		},
		"context without cluster": {
			setup: func(t *testing.T) Options {
				c := config.DeepCopy()
				c.Contexts["here"].Cluster = "gone"
				write(t, c)
				return Options{}
			},
			want: `context "here": `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.setup(t)).Config(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("expected an error with %q, found %v", c.want, err)
			}
			if !strings.Contains(stages.Hint(err), c.hint) {
				t.Errorf("expected a hint with %q, found %q", c.hint, stages.Hint(err))
			}
		})
	}
	t.Run("flag wins over KUBECONFIG", func(t *testing.T) {
		other := config.DeepCopy()
		other.Clusters["c"].Server = "https://other.invalid"
		file := write(t, other)
		write(t, config)
		cluster := New(Options{Kubeconfig: file})
		if got := cluster.Host(); got != "https://other.invalid" {
			t.Errorf("Host: %s", got)
		}
		if got := cluster.Namespace(); got != "team" {
			t.Errorf("Namespace: %s", got)
		}
	})
}

func TestWithKubeconfig(t *testing.T) {
	_, config := server(t, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"gitVersion": "v1.36.3"})
	})
	for name, c := range map[string]struct {
		change func(*api.Config)
		want   string
	}{
		"data only": {},
		"exec": {
			change: func(c *api.Config) {
				c.AuthInfos["u"].Exec = &api.ExecConfig{Command: "/bin/false", APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: api.NeverExecInteractiveMode}
			},
			want: "user u: exec",
		},
		"auth provider": {
			change: func(c *api.Config) { c.AuthInfos["u"].AuthProvider = &api.AuthProviderConfig{Name: "oidc"} },
			want:   "user u: auth-provider",
		},
		"token file": {
			change: func(c *api.Config) { c.AuthInfos["u"].TokenFile = "/etc/passwd" },
			want:   "user u: tokenFile",
		},
		"files of keys": {
			change: func(c *api.Config) {
				c.Clusters["c"].CertificateAuthorityData, c.Clusters["c"].CertificateAuthority = nil, "/etc/ca.pem"
				c.AuthInfos["u"].ClientCertificate, c.AuthInfos["u"].ClientKey = "/a", "/b"
			},
			want: "cluster c: certificate-authority; user u: client-certificate; user u: client-key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw := config.DeepCopy()
			if c.change != nil {
				c.change(raw)
			}
			text, err := clientcmd.Write(*raw)
			if err != nil {
				t.Fatal(err)
			}
			cluster, err := New(Options{}).WithKubeconfig(text, "Secret other, key value")
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := cluster.Reach(t.Context()); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Secret other, key value") {
				t.Errorf("expected an error with %q, found %v", c.want, err)
			}
		})
	}
	t.Run("no kubeconfig at all", func(t *testing.T) {
		_, err := New(Options{}).WithKubeconfig([]byte("token: "+secretToken+"\n\t{"), "Secret other")
		if err == nil || strings.Contains(err.Error(), secretToken) {
			t.Errorf("expected an error without the text, found %v", err)
		}
	})
}

func TestServiceAccount(t *testing.T) {
	asked := 0
	_, config := server(t, func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		switch {
		case r.URL.Path == "/version" && auth == "Bearer from-the-account":
			reply(w, http.StatusOK, map[string]string{})
		case r.URL.Path == "/version":
			status(w, http.StatusUnauthorized, "Unauthorized", "not "+auth)
		case strings.HasSuffix(r.URL.Path, "/serviceaccounts/deployer/token"):
			asked++
			reply(w, http.StatusCreated, map[string]any{
				"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
				"status": map[string]any{"token": "from-the-account", "expirationTimestamp": time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)},
			})
		case strings.Contains(r.URL.Path, "/serviceaccounts/gone/"):
			status(w, http.StatusNotFound, "NotFound", `serviceaccounts "gone" not found`)
		default:
			status(w, http.StatusForbidden, "Forbidden", `user "u" cannot create resource "serviceaccounts/token"`)
		}
	})
	write(t, config)
	cluster := New(Options{})
	for range 2 {
		as, err := cluster.ServiceAccount(t.Context(), "team", "deployer")
		if err != nil {
			t.Fatal(err)
		}
		if err := as.Reach(t.Context()); err != nil {
			t.Error(err)
		}
		c, err := as.Config(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.CertData != nil || c.Username != "" || c.ExecProvider != nil {
			t.Error("the account's configuration has credentials of the user")
		}
	}
	if asked != 1 {
		t.Errorf("asked for %d tokens, expected 1", asked)
	}
	for name, want := range map[string]string{
		"gone":      "service account gone doesn't exist in namespace team",
		"forbidden": "token for service account team/forbidden",
	} {
		_, err := cluster.ServiceAccount(t.Context(), "team", name)
		if err == nil || !strings.Contains(err.Error(), want) || stages.Hint(err) == "" {
			t.Errorf("expected an error with %q and a hint, found %v", want, err)
		}
	}
}

func TestObjects(t *testing.T) {
	_, config := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/namespaces/team/secrets/db":
			reply(w, http.StatusOK, map[string]any{"kind": "Secret", "apiVersion": "v1", "data": map[string]string{"user": "YWRtaW4="}})
		case "/api/v1/namespaces/team/configmaps/cm":
			reply(w, http.StatusOK, map[string]any{
				"kind": "ConfigMap", "apiVersion": "v1",
				"data": map[string]string{"a": "1"}, "binaryData": map[string]string{"b": "Mg=="},
			})
		case "/api/v1/namespaces/team/secrets/hidden":
			status(w, http.StatusForbidden, "Forbidden", `secrets "hidden" is forbidden`)
		default:
			status(w, http.StatusNotFound, "NotFound", "not found")
		}
	})
	write(t, config)
	objects := New(Options{}).Objects("team")
	secret, err := objects.Secret(t.Context(), "db")
	if err != nil || string(secret["user"]) != "admin" {
		t.Errorf("Secret db: %v, %v", secret, err)
	}
	m, err := objects.ConfigMap(t.Context(), "cm")
	if err != nil || string(m["a"]) != "1" || string(m["b"]) != "2" {
		t.Errorf("ConfigMap cm: %v, %v", m, err)
	}
	if _, err := objects.Secret(t.Context(), "gone"); !errors.Is(err, stages.ErrNoObject) {
		t.Errorf("Secret gone: expected ErrNoObject, found %v", err)
	}
	if _, err := objects.ConfigMap(t.Context(), "gone"); !errors.Is(err, stages.ErrNoObject) {
		t.Errorf("ConfigMap gone: expected ErrNoObject, found %v", err)
	}
	if _, err := objects.Secret(t.Context(), "hidden"); err == nil || errors.Is(err, stages.ErrNoObject) {
		t.Errorf("Secret hidden: expected another error than ErrNoObject, found %v", err)
	}
}
