package sidecar_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strake.dev/strake/internal/hook"
)

// Nothing of what is refused here reaches a daemon or a registry: there is none.
func TestRefused(t *testing.T) {
	c := newContainer(t, hook.DestinationsVariable+"=registry.invalid/apps", nobody, "SECRET_OF_POD=hidden-value", "SSH_AUTH_SOCK=/agent")
	outside := filepath.Join(c.home, "secret")
	if err := os.WriteFile(outside, []byte("hidden-value"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := c.work(map[string]string{"0/secret": "hidden-value", "0/Dockerfile": "FROM scratch\n"})
	raw := func(option string) string { return "  docker: {build: {rawOptions: ['" + option + "']}}\n" }
	own := func(options string) string { return "  buildkit: {" + options + "}\n" }
	const repo = "registry.invalid/apps/app"
	for name, tc := range map[string]struct {
		repo, path, options string
		files               map[string]string
		want                string
	}{
		"secret from a file, raw":     {options: raw("--secret=id=a,src=" + outside), want: "secret a from file " + outside + " is not allowed here"},
		"secret from a variable, raw": {options: raw("--secret=id=a,env=SECRET_OF_POD"), want: "secret a from env SECRET_OF_POD is not allowed here"},
		"secret of a variable's name": {options: raw("--secret=id=SECRET_OF_POD"), want: "secret SECRET_OF_POD is not allowed here"},
		"secret from a file":          {options: own("secrets: [{id: a, file: x}]"), want: "secret a from file x is not allowed here"},
		"secret from a variable":      {options: own("secrets: [{id: a, env: SECRET_OF_POD}]"), want: "secret a from env SECRET_OF_POD is not allowed here"},
		"secret from a Secret":        {options: own("secrets: [{id: a, secretRef: {name: b, key: c}}]"), want: "secret a from secretRef b is not allowed here"},
		"secret not in the policy":    {options: own("secrets: [{id: a}]"), want: "secret a is not allowed here\n  hint: the policy of the cluster has no secrets"},
		"argument from a variable":    {options: raw("--build-arg=SECRET_OF_POD"), want: "build argument SECRET_OF_POD from the environment is not allowed here\n  hint: give its value: --build-arg=SECRET_OF_POD=VALUE"},
		"ssh, raw":                    {options: raw("--ssh=default"), want: "ssh default is not allowed here"},
		"ssh":                         {options: own("ssh: [{paths: [/agent]}]"), want: "ssh default is not allowed here"},
		"output, raw":                 {options: raw("--output=type=oci,dest=/tmp/x"), want: "output /tmp/x is not allowed here"},
		"output":                      {options: own("output: {ociLayout: out}"), want: "output out is not allowed here"},
		"local cache":                 {options: own("cacheTo: [{type: local, dest: x}]"), want: "cache type local is not allowed here\n  hint: expected registry or inline"},
		"local cache, raw":            {options: raw("--cache-from=type=local,src=/etc"), want: "cache type local is not allowed here"},
		"s3 cache":                    {options: own("cacheFrom: [{type: s3, bucket: b, region: r}]"), want: "cache type s3 is not allowed here"},
		"cache elsewhere":             {options: own("cacheTo: [{type: registry, ref: 'registry.invalid/others:c'}]"), want: "cache: destination registry.invalid/others is not allowed here"},
		"cache over an image":         {options: own("cacheTo: [{type: registry, ref: 'registry.invalid/apps/app:strake-0'}]"), want: "cache registry.invalid/apps/app:strake-0 is not allowed here"},
		"entitlement":                 {options: own("entitlements: [security.insecure]"), want: "entitlement security.insecure is not allowed here"},
		"entitlement, raw":            {options: raw("--allow=network.host"), want: "entitlement network.host is not allowed here"},
		"network":                     {options: own("network: host"), want: "entitlement network.host is not allowed here"},
		"network, raw":                {options: raw("--network=host"), want: "entitlement network.host is not allowed here"},
		"control group":               {options: own("cgroupParent: x"), want: "cgroupParent x is not allowed here"},
		"address":                     {options: own("address: 'docker-container://x'"), want: "buildkit.address: unknown field"},
		"context outside":             {options: own("contexts: {a: ../../x}"), want: "context a: ../x: leads out of the App's folder"},
		"context outside, raw":        {options: raw("--build-context=a=" + other), want: "context a: " + other + ": expected a path relative to the source's path"},
		"context by ssh":              {options: own("contexts: {a: 'ssh://git@host/x.git'}"), want: "context a: the scheme ssh is not allowed here"},
		"context by scp":              {options: own("contexts: {a: 'git@host:x.git'}"), want: "context a: the scheme ssh is not allowed here"},
		"layout outside":              {options: own("contexts: {a: 'oci-layout://../../x:1'}"), want: "context a: ../x: leads out of the App's folder"},
		"pack":                        {options: "  pack: {build: {builder: b}}\n", want: "a source for pack is not allowed here"},
		"ko":                          {options: "  ko: {build: {}}\n", want: "a source for ko is not allowed here"},
		"bazel":                       {options: "  bazel: {run: {target: x}}\n", want: "a source for bazel is not allowed here"},
		"path outside":                {path: "../x", want: "path: ../x: leads out of the App's folder"},
		"path of another App":         {path: other + "/0", want: "expected a path relative to the App's folder"},
		"path by a file's URL":        {path: "file://" + other, want: "path: file://" + other + ": expected the URL of a git repository"},
		"path by ssh":                 {path: "ssh://git@host/x.git", want: "the scheme ssh is not allowed here"},
		"path by scp":                 {path: "git@host:x.git", want: "the scheme ssh is not allowed here"},
		"path by a link":              {path: "link", files: map[string]string{"0/link": "-> " + other + "/0"}, want: "link: leads out of the App's folder"},
		"path by two links":           {path: "a/b", files: map[string]string{"0/a": "-> .", "0/b": "-> ../../" + filepath.Base(other) + "/0"}, want: "a/b: leads out of the App's folder"},
		"Dockerfile outside":          {options: own("dockerfile: ../../Dockerfile"), want: "../Dockerfile: leads out of the App's folder"},
		"Dockerfile, absolute":        {options: own("dockerfile: " + other + "/0/Dockerfile"), want: "expected a path relative to the source's path"},
		"Dockerfile by a link":        {files: map[string]string{"0/src/Dockerfile": "-> " + other + "/0/Dockerfile"}, want: "src/Dockerfile: leads out of the App's folder"},
		".dockerignore by a link":     {files: map[string]string{"0/src/.dockerignore": "-> " + outside}, want: "src/.dockerignore: leads out of the App's folder"},
		"link in the context":         {files: map[string]string{"0/src/deep/leak": "-> " + outside}, want: "src/deep/leak: symbolic link to " + outside + " leads out of the App's folder"},
		"relative link":               {files: map[string]string{"0/src/leak": "-> ../../../x"}, want: "src/leak: symbolic link to ../../../x leads out of the App's folder"},
		"chain of links":              {files: map[string]string{"0/src/a": "-> ../up/x", "0/up": "-> .."}, want: "leads out of the App's folder"},
		"link in a named context":     {options: own("contexts: {a: ../lib}"), files: map[string]string{"0/lib/leak": "-> /etc/passwd"}, want: "lib/leak: symbolic link to /etc/passwd leads out of the App's folder"},
		"destination":                 {repo: "registry.invalid/others/app", want: "destination registry.invalid/others/app is not allowed here\n  hint: the policy of the cluster allows registry.invalid/apps, and what lies below"},
		"destination's prefix":        {repo: "registry.invalid/apps-of-others", want: "destination registry.invalid/apps-of-others is not allowed here"},
		"destination by dots":         {repo: "registry.invalid/apps/../others", want: "destination registry.invalid/apps/../others is not allowed here"},
		"content tag":                 {repo: repo + ", tags: [strake-0123]", want: "tag strake-0123 is not allowed here"},
		"too big":                     {files: map[string]string{"0/src/big": "x"}, want: "the build context has "},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			if tc.repo == "" {
				tc.repo = repo
			}
			if tc.path == "" {
				tc.path = "src"
			}
			work := c.work(map[string]string{"0/config/all.yml": build(tc.repo, tc.path, tc.options) + "---\n" + deployment, "0/src/x": "x"})
			put(t, work, tc.files)
			if tc.files["0/src/Dockerfile"] == "" {
				put(t, work, map[string]string{"0/src/Dockerfile": "FROM scratch\n"})
			}
			if name == "too big" {
				if err := os.Truncate(work+"/0/src/big", 513<<20); err != nil {
					t.Fatal(err)
				}
			}
			got := c.reconcile(work, "0/config")
			if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, tc.want) || !strings.HasPrefix(got.stderr, "kbld: Error: \n- Resolving image 'app': ") {
				t.Errorf("exit code %d\n%swant: %s", got.code, got.stderr, tc.want)
			}
			if strings.Contains(got.stderr+got.stdout, "hidden-value") {
				t.Errorf("a secret is told:\n%s", got.stderr)
			}
		})
		c.works++
	}
}

// An App can't have a tool read what isn't its own.
func TestPathsOut(t *testing.T) {
	on := newContainer(t, hook.DestinationsVariable+"=registry.invalid/apps", nobody)
	put(t, on.home, map[string]string{"key": "hidden-value", "config.json": `{"kind": "X", "apiVersion": "v1", "auth": "hidden-value"}`})
	work := on.work(map[string]string{"0/d.yml": "#@ load(\"@ytt:data\", \"data\")\n---\nkind: X\napiVersion: v1\nkey: #@ data.read(\"x\")\n"})
	for name, args := range map[string][]string{
		"ytt":         {"ytt", "-f", work + "/0/d.yml", "-f", work + "/0/x=" + on.home + "/key"},
		"ytt, values": {"ytt", "-f", work + "/0/d.yml", "--data-values-file", work + "/0/x=" + on.home + "/config.json"},
		"kbld":        {"kbld", "-f", work + "/0/d.yml," + on.home + "/config.json", "--build=false"},
	} {
		got := on.call("", args...)
		if got.code != 1 || got.stdout != "" || strings.Contains(got.stderr, "hidden-value") || !strings.Contains(got.stderr, "path "+work[:1]) {
			t.Errorf("%s: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
		// Where nothing is built, the tools are what they are.
		if off := on.with(hook.DestinationsVariable+"=").call("", args...); name == "kbld" && !strings.Contains(off.stdout, "hidden-value") {
			t.Errorf("%s: differs from the tool: %s", name, off.stderr)
		}
	}
}

// Who may build at all, and whose folder it is.
func TestNotAdmitted(t *testing.T) {
	on := newContainer(t, hook.DestinationsVariable+"=registry.invalid/apps", nobody)
	off := on.with(hook.DestinationsVariable + "=")
	work := on.work(map[string]string{
		"0/src/Dockerfile": "FROM scratch\n", "0/src/x": "x", "0/d.yml": deployment, "0/build.yml": build("registry.invalid/apps/app", "src", ""), "1/x": "",
	})
	other := on.work(map[string]string{"0/src/Dockerfile": "FROM scratch\n"})
	stamped := on.call("", "ytt", "-f", work+"/0").stdout
	if !strings.Contains(stamped, hook.Annotation) {
		t.Fatalf("no stamp:\n%s", stamped)
	}
	if plain := off.call("", "ytt", "-f", work+"/0").stdout; strings.Contains(plain, hook.Annotation) {
		t.Errorf("a stamp where nothing may be built:\n%s", plain)
	}
	const head = "kbld: Error: \n- Resolving image 'app': "
	const noFolder = head + "its source counts from the App's folder, which is not known here: the Config has no stamp\n"
	const forged = head + "annotation strake.dev/hook-stamp: was not made in this pod for this Config as it is: the Config was changed after ytt had rendered it, or the stamp is forged\n"
	bare := build("registry.invalid/apps/app", "src", "") + "---\n" + deployment
	for name, tc := range map[string]struct {
		c     *container
		in    string
		paths []string
		want  string
	}{
		"no policy": {off, stamped, nil, head + "Building of images is disallowed (tried to build 'app' because a source was configured for it)\n" +
			"  hint: the operator of a cluster can allow builds: set STRAKE_HOOK_POLICY on this container, as “strake hook manifest” does\n"},
		"broken policy":    {off.with(hook.PolicyVariable + "=/no/such/file"), stamped, nil, "Building of images is disallowed (tried to build 'app' because a source was configured for it)\n  hint: the policy of the cluster can't be used: open /no/such/file: no such file or directory\n"},
		"two policies":     {on.with(hook.PolicyVariable + "=/no/such/file"), stamped, nil, "can't be used: STRAKE_HOOK_POLICY and STRAKE_HOOK_DESTINATIONS are both set"},
		"no stamp":         {on, bare, nil, noFolder},
		"stale":            {on, strings.Replace(stamped, "path: src", "path: '0'", 1), nil, forged},
		"other folder":     {on, strings.Replace(stamped, work, other, 1), nil, forged},
		"other sum":        {on, strings.Replace(stamped, "stamp: v1 ", "stamp: v1 0", 1), nil, head + "annotation strake.dev/hook-stamp: is not a stamp\n"},
		"other key":        {on.with(hook.KeyVariable + "=" + t.TempDir() + "/key"), stamped, nil, forged},
		"other App":        {on, stamped, []string{other + "/0/src"}, "is of the App in " + work + ", and not of that in " + other + "/0\n"},
		"work folder gone": {on, strings.ReplaceAll(bare, "src", "src"), []string{on.mem + "/kapp-controller-fetch-template-deploy0/0"}, "no such file or directory"},
	} {
		args := []string{"kbld", "-f", "-"}
		for _, p := range tc.paths {
			args = append(args, "-f", p)
		}
		got := tc.c.call(tc.in, append(args, "--build=false")...)
		if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, tc.want) {
			t.Errorf("%s: exit code %d\n%s%swant: %s", name, got.code, got.stdout, got.stderr, tc.want)
		}
	}
	// Without a source to build nothing is asked of the hook, and a source that nobody names doesn't count.
	for name, in := range map[string]string{
		"no source":  "apiVersion: v1\nkind: X\n",
		"not named":  build("registry.invalid/others", "/etc", "  ko: {build: {}}\n") + "---\napiVersion: v1\nkind: X\n",
		"only rules": "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: [{image: app, newImage: x, preresolved: true}]\n---\n" + deployment,
	} {
		if got := on.with(hook.PolicyVariable+"=/broken", "HOME=/no/such").call(in, "kbld", "-f", "-", "--build=false"); name != "not named" && got.code != 0 {
			t.Errorf("%s: %d %s", name, got.code, got.stderr)
		}
		if got := on.call(in, "kbld", "-f", "-", "--build=false"); got.code != 0 {
			t.Errorf("%s: %d %s", name, got.code, got.stderr)
		}
	}
}
