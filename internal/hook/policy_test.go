package hook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/hook"
	"strake.dev/strake/stages"
)

// env is an environment.
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const head = "apiVersion: strake.dev/v1alpha1\nkind: HookPolicy\n"

func TestPolicy(t *testing.T) {
	file := write(t, t.TempDir(), "policy.yaml", head+`buildkit: {addresses: ["tcp://a:1234", "unix:///b"], tlsDir: /tls}
destinations: [registry.example.com/apps]
limits: {builds: 3, timeout: 90s, context: 1Mi}
secrets: [{id: npm, file: /strake/npm}]
networks: [none]
`)
	p, err := hook.Load(env(hook.PolicyVariable, file))
	if err != nil {
		t.Fatal(err)
	}
	if p.Limits != (hook.Limits{Builds: 3, Timeout: 90 * time.Second, Context: 1 << 20}) || p.Buildkit.TLSDir != "/tls" || len(p.Buildkit.Addresses) != 2 {
		t.Errorf("read %+v", p)
	}
	if got, err := p.SecretFile("npm"); err != nil || got != "/strake/npm" {
		t.Errorf("secret: %q, %v", got, err)
	}
	if _, err := p.SecretFile("other"); err == nil || err.Error() != "secret other is not allowed here" || stages.Hint(err) != "the policy of the cluster has npm" {
		t.Errorf("other secret: %v (%s)", err, stages.Hint(err))
	}
	small, err := hook.Load(env(hook.DestinationsVariable, "registry.example.com/apps, localhost:5000/"))
	if err != nil || small.Limits.Builds != 2 || small.Limits.Timeout != 15*time.Minute || len(small.Destinations) != 2 {
		t.Errorf("small policy: %+v, %v", small, err)
	}
	if none, err := hook.Load(env()); none != nil || err != nil {
		t.Errorf("without opt-in: %v, %v", none, err)
	}
	both := env(hook.PolicyVariable, file, hook.DestinationsVariable, "registry.example.com/apps")
	if p, err := hook.Load(both); p != nil || err == nil {
		t.Error("both variables are accepted")
	}
}

// A policy that has a mistake allows nothing, and says where the mistake is.
func TestBadPolicy(t *testing.T) {
	const good = "destinations: [registry.example.com/apps]\n"
	for text, want := range map[string]string{
		"":                             "found 0 documents",
		head:                           "destinations: ",
		head + good + "---\n" + head:   "found 2 documents",
		"kind: HookPolicy\n" + good:    "apiVersion",
		head + good + "destination: x": "policy.yaml:4:1: destination: unknown field (did you mean destinations?)",
		head + "destinations: []":      "destinations",
		head + "destinations: [team]":  `policy.yaml:3:16: destinations[0]: expected a repository in the form registry.example.com/team, found "team"`,
		head + "destinations: [registry.example.com/../x]":              "expected a repository",
		head + "destinations: [registry.example.com/a:1]":               "expected a repository",
		head + "destinations: [registry.example.com]":                   "expected a repository",
		head + "destinations: ['']":                                     "expected a repository",
		head + good + "limits: {builds: 0}":                             "expected at least 1, found 0",
		head + good + "limits: {timeout: 5}":                            "expected a duration",
		head + good + "limits: {timeout: 0s}":                           "expected more than 0",
		head + good + "limits: {context: much}":                         "policy.yaml:4:19: limits.context: expected a size such as 512Mi",
		head + good + "secrets: [{id: a, file: a}]":                     `expected an absolute path, found "a"`,
		head + good + "secrets: [{id: a}]":                              "secrets[0].file",
		head + good + "secrets: [{id: a, file: /a}, {id: a, file: /b}]": "a is given twice",
		head + good + "networks: [host]":                                "expected one of default, none",
		head + good + "buildkit: {addresses: ['docker-container://x']}": "expected tcp://HOST:PORT or unix://PATH",
		head + good + "buildkit: {addresses: ['ssh://root@host']}":      "expected tcp://HOST:PORT or unix://PATH",
		head + good + "buildkit: [":                                     "policy.yaml:4",
	} {
		file := write(t, t.TempDir(), "policy.yaml", text)
		p, err := hook.Load(env(hook.PolicyVariable, file))
		if p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if p, err := hook.Load(env(hook.PolicyVariable, "/no/such/file")); p != nil || err == nil {
		t.Error("a policy that isn't there is accepted")
	}
	for _, list := range []string{",", "team", "registry.example.com/a,registry.example.com/A"} {
		if p, err := hook.Load(env(hook.DestinationsVariable, list)); p != nil || err == nil {
			t.Errorf("%q is accepted", list)
		}
	}
}

func TestDestinations(t *testing.T) {
	for _, c := range []struct {
		list, repo string
		want       bool
	}{
		{"registry.example.com/apps", "registry.example.com/apps", true},
		{"registry.example.com/apps", "registry.example.com/apps/x", true},
		{"registry.example.com/apps/", "registry.example.com/apps/x/y", true},
		{"registry.example.com/apps", "registry.example.com/apps-of-others", false},
		{"registry.example.com/apps", "registry.example.com/apps2/x", false},
		{"registry.example.com/apps", "registry.example.com/app", false},
		{"registry.example.com/apps", "registry.example.com/apps/../others", false},
		{"registry.example.com/apps", "registry.example.com/apps/./x", false},
		{"registry.example.com/apps", "registry.example.com/apps//x", false},
		{"registry.example.com/apps", "registry.example.com/apps/x..y", false},
		{"registry.example.com/apps", "registry.example.com:5000/apps/x", false},
		{"registry.example.com/apps", "evil.example.com/registry.example.com/apps", false},
		{"registry.example.com/apps", "registry.example.com.evil.example.com/apps", false},
		{"registry.example.com/", "registry.example.com/any/thing", true},
		{"registry.example.com/", "registry.example.com.evil.example.com/any", false},
		{"docker.io/team", "team/app", true},
		{"docker.io/team", "index.docker.io/team/app", true},
		{"docker.io/team", "app", false},
		{"localhost:5000/a,localhost:5000/b", "localhost:5000/b/x", true},
	} {
		p, err := hook.Load(env(hook.DestinationsVariable, c.list))
		if err != nil {
			t.Fatal(err)
		}
		repo, err := name.NewRepository(c.repo)
		if err != nil {
			if c.want {
				t.Errorf("%s: %v", c.repo, err)
			}
			continue
		}
		if err := p.AllowsDestination(repo); (err == nil) != c.want {
			t.Errorf("%s allows %s: %v", c.list, c.repo, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		allowed    []string
		mode, want string
		ok         bool
	}{
		{nil, "", "", true},
		{nil, "default", "default", true},
		{nil, "none", "none", true},
		{nil, "host", "", false},
		{[]string{"none"}, "", "none", true},
		{[]string{"none"}, "default", "", false},
		{[]string{"none", "default"}, "", "none", true},
		{[]string{"none", "default"}, "default", "default", true},
		{[]string{"default"}, "none", "", false},
	} {
		p := hook.Policy{Networks: c.allowed}
		if got, err := p.AllowsNetwork(c.mode); got != c.want || (err == nil) != c.ok {
			t.Errorf("%v, %q: %q, %v", c.allowed, c.mode, got, err)
		}
	}
}

// Whatever a policy says, it allows no repository that isn't at or below one that it names.
func FuzzPolicy(f *testing.F) {
	f.Add(head+"destinations: [registry.example.com/apps]\n", "registry.example.com/apps/x")
	f.Add(head+"destinations: [registry.example.com/]\nlimits: {context: 1Mi, timeout: 1s, builds: 1}\n", "registry.example.com/a")
	f.Add(head+"destinations: [&a localhost:5000/x, *a]\nnetworks: [none]\n", "localhost:5000/x/../y")
	f.Fuzz(func(t *testing.T, text, repository string) {
		p, err := hook.ParsePolicy("policy.yaml", []byte(text))
		if err != nil {
			return
		}
		repo, err := name.NewRepository(repository)
		if err != nil || p.AllowsDestination(repo) != nil {
			return
		}
		for _, d := range p.Destinations {
			host, path, _ := strings.Cut(strings.TrimSuffix(d, "/"), "/")
			in := repo.RepositoryStr() + "/"
			if repo.RegistryStr() == host && (path == "" || strings.HasPrefix(in, path+"/")) && !strings.Contains(in, "..") {
				return
			}
		}
		if !strings.Contains(text, "docker.io") { // which has two names
			t.Errorf("%s is allowed by %v", repo.Name(), p.Destinations)
		}
	})
}
