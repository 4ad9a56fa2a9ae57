package kbld

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/stages"
)

// sameRequest compares what requests ask for.
var sameRequest = cmp.Options{
	cmp.AllowUnexported(request{}, secret{}, sshKeys{}), cmpopts.IgnoreFields(request{}, "how", "dir"),
}

const someDigest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestRawOptions(t *testing.T) {
	t.Setenv("STRAKE_TEST_SET", "from the environment")
	opts := func(o buildkit.Options) request { return request{options: o} }
	for _, c := range []struct {
		args []string
		want request
	}{
		{args: nil},
		{args: []string{"--build-arg=A=1", "--build-arg", "B=x=y"}, want: opts(buildkit.Options{Args: map[string]string{"A": "1", "B": "x=y"}})},
		{args: []string{"--build-arg=A="}, want: opts(buildkit.Options{Args: map[string]string{"A": ""}})},
		{args: []string{"--build-arg=STRAKE_TEST_SET", "--build-arg=STRAKE_TEST_UNSET"}, want: opts(buildkit.Options{Args: map[string]string{"STRAKE_TEST_SET": "from the environment"}})},
		{args: []string{"--label", "a=b", "--label=c"}, want: opts(buildkit.Options{Labels: map[string]string{"a": "b", "c": ""}})},
		{args: []string{"--annotation", "a=b", "--annotation=index:c=d", "--annotation", "manifest,index:e=f=g"}, want: opts(buildkit.Options{Annotations: map[string]string{"a": "b", "index:c": "d", "e": "f=g", "index:e": "f=g"}})},
		{args: []string{"--target=x"}, want: opts(buildkit.Options{Target: "x"})},
		{args: []string{"--platform", "linux/amd64,linux/386", "--platform=linux/arm64"}, want: opts(buildkit.Options{Platforms: []string{"linux/amd64", "linux/386", "linux/arm64"}})},
		{args: []string{"--no-cache", "--pull=false"}, want: opts(buildkit.Options{NoCache: true})},
		{args: []string{"--pull", "--pull=0", "--no-cache-filter=a,b", "--no-cache-filter", "c"}, want: opts(buildkit.Options{NoCacheFilter: []string{"a", "b", "c"}})},
		{args: []string{"-f", "D"}, want: request{dockerfile: "src/D"}},
		{args: []string{"-fD"}, want: request{dockerfile: "src/D"}},
		{args: []string{"-fa=b"}, want: request{dockerfile: "src/a=b"}},
		{args: []string{"-f=D"}, want: request{dockerfile: "src/D"}},
		{args: []string{"--file=../D"}, want: request{dockerfile: "D"}},
		{args: []string{"-qDfD"}, want: request{dockerfile: "src/D"}},
		{
			args: []string{"--build-context", "base=../lib", "--build-context=alpine:latest=docker-image://alpine:3", "--build-context=git=https://example.com/x.git#main", "--build-context=o=oci-layout://l" + someDigest},
			want: opts(buildkit.Options{Contexts: map[string]buildkit.Context{
				"base": {Folder: "lib"}, "alpine": {URL: "docker-image://alpine:3"}, "git": {URL: "https://example.com/x.git#main"}, "o": {Layout: "src/l" + someDigest},
			}}),
		},
		{
			args: []string{"--secret=id=a,src=s.txt", "--secret", "type=env,id=b,src=STRAKE_TEST_SET", "--secret=id=c,env=X", "--secret=id=STRAKE_TEST_SET", "--secret=id=f", "--secret=id=g,source=/etc/g"},
			want: request{secrets: []secret{
				{ID: "a", File: "src/s.txt", inSources: true},
				{ID: "b", Env: "STRAKE_TEST_SET"},
				{ID: "c", Env: "X"},
				{ID: "STRAKE_TEST_SET", Env: "STRAKE_TEST_SET"},
				{ID: "f", File: "src/f", inSources: true},
				{ID: "g", File: "/etc/g"},
			}},
		},
		{
			args: []string{"--ssh", "default", "--ssh=k=/a,/b", "--ssh=in=key"},
			want: request{ssh: []sshKeys{{ID: "default"}, {ID: "k", Paths: []string{"/a", "/b"}}, {ID: "in", Paths: []string{"src/key"}, inSources: true}}},
		},
		{
			args: []string{"--cache-from=user/app:cache", "--cache-from", `type=registry,"ref=host:5000/app"`, "--cache-to=type=inline", "--cache-to=type=local,dest=/c,mode=max"},
			want: opts(buildkit.Options{
				CacheFrom: []buildkit.Cache{{Type: "registry", Attrs: map[string]string{"ref": "user/app:cache"}}, {Type: "registry", Attrs: map[string]string{"ref": "host:5000/app"}}},
				CacheTo:   []buildkit.Cache{{Type: "inline", Attrs: map[string]string{}}, {Type: "local", Attrs: map[string]string{"dest": "/c", "mode": "max"}}},
			}),
		},
		{args: []string{"--provenance=true", "--sbom=true"}, want: opts(buildkit.Options{Provenance: "min", SBOM: "true"})},
		{args: []string{"--provenance=mode=max", "--sbom=generator=example.com/scanner:1"}, want: opts(buildkit.Options{Provenance: "max", SBOM: "example.com/scanner:1"})},
		{args: []string{"--provenance=mode=max", "--provenance=false", "--sbom=false"}, want: request{}},
		{args: []string{"--attest=type=provenance,mode=max", "--attest", "type=sbom"}, want: opts(buildkit.Options{Provenance: "max", SBOM: "true"})},
		{args: []string{"--attest=type=provenance,disabled=true"}, want: request{}},
		{args: []string{"--network=none"}, want: opts(buildkit.Options{Network: "none"})},
		{args: []string{"--network", "host", "--allow=network.host,security.insecure"}, want: opts(buildkit.Options{Network: "host", Entitlements: []string{"network.host", "security.insecure"}})},
		{args: []string{"--add-host=a:1.2.3.4,b=[::1]", "--add-host", "c:::2"}, want: opts(buildkit.Options{Hosts: []string{"a=1.2.3.4", "b=::1", "c=::2"}})},
		{
			args: []string{"--shm-size=64m", "--ulimit", "nofile=10:20", "--ulimit=nproc=5", "--cgroup-parent=x"},
			want: opts(buildkit.Options{ShmSize: 64 << 20, Ulimits: []string{"nofile=10:20", "nproc=5:5"}, CgroupParent: "x"}),
		},
		{args: []string{"-o", "type=oci,dest=/o.tar", "--output=type=oci,tar=false,dest=/l", "-otype=registry"}, want: request{output: output{OCILayout: "/l", Tar: "/o.tar"}}},
		{args: []string{"--progress=plain", "--quiet", "-q", "--push", "--rm=false", "--force-rm", "--builder", "b", "--load=false", "--check=false", "--squash=false", "-n", "ns"}, want: request{}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			got := request{dir: "src"}
			if err := got.addRaw(c.args); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, sameRequest); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadRawOptions(t *testing.T) {
	for _, c := range []struct {
		args      []string
		err, hint string
	}{
		{args: []string{"--build-arg==b"}, err: "rawOptions: --build-arg: has no name"},
		{args: []string{"--annotation=a"}, err: `rawOptions: --annotation: expected NAME=VALUE, found "a"`},
		{args: []string{"--annotation=manifest-descriptor:a=b"}, err: `"manifest-descriptor" is not supported before the colon`, hint: "expected manifest or index"},
		{args: []string{"--target"}, err: "rawOptions: --target: its value is missing"},
		{args: []string{"-f"}, err: "rawOptions: --file: its value is missing"},
		{args: []string{"--pull=maybe"}, err: `rawOptions: --pull: expected true or false, found "maybe"`},
		{args: []string{"--platform=linux"}, err: `rawOptions: --platform: platform "linux": expected the form linux/amd64`},
		{args: []string{"--platform=linux/amd64,linux/x86_64"}, err: `platform "linux/x86_64" is given twice`},
		{args: []string{"--build-context=a"}, err: "expected NAME=LOCATION"},
		{args: []string{"--build-context=A=b"}, err: `context "A": expected a name in lower case`},
		{args: []string{"--build-context=a=../.."}, err: "context a: ..: leads out of the App's folder"},
		{args: []string{"--build-context=a=/b"}, err: "context a: /b: expected a path relative to the source's path"},
		{args: []string{"--build-context=a=docker-imag://b"}, err: "the scheme docker-imag is not supported", hint: "did you mean docker-image?"},
		{args: []string{"--build-context=a=oci-layout://b"}, err: "expected oci-layout://FOLDER@sha256:DIGEST or oci-layout://FOLDER:TAG"},
		{args: []string{"--secret=hunter2"}, err: "rawOptions: --secret: expected the form NAME=VALUE,NAME=VALUE"},
		{args: []string{"--secret=src=x"}, err: "rawOptions: --secret: expected id=NAME"},
		{args: []string{"--secret=id=x,value=y"}, err: `unknown attribute "value"`, hint: "known: id, env, src, type"},
		{args: []string{"--secret=id=x,env=A,src=b"}, err: "expected only one of src and env"},
		{args: []string{"--secret=id=x,env=hunter2!"}, err: "expected the name of an environment variable"},
		{args: []string{"--secret=id=x,type=vault"}, err: `type "vault": expected env or file`},
		{args: []string{"--secret=id=x,src=../../y"}, err: "../y: leads out of the App's folder"},
		{args: []string{"--secret=id=x,env=A", "--secret=id=x,env=B"}, err: "secret x is given twice"},
		{args: []string{"--ssh="}, err: "rawOptions: --ssh: expected ID or ID=PATH"},
		{args: []string{"--ssh=a=/b,c"}, err: "expected either relative or absolute paths, found both"},
		{args: []string{"--cache-from=type=registri,ref=x"}, err: `cache type "registri" is not supported`, hint: "did you mean registry?"},
		{args: []string{"--cache-from=type=inline"}, err: "cache type inline is for cacheTo only", hint: "type=registry"},
		{args: []string{"--cache-from=ref=x"}, err: "expected the reference of an image, or the form type=registry,ref=REFERENCE"},
		{args: []string{"--cache-to=type=registry"}, err: "cache type registry: ref is missing"},
		{args: []string{"--cache-to=type=local,dest=c"}, err: "rawOptions: --cache-to: c: expected an absolute path", hint: "“buildkit: {cacheTo: …}”"},
		{args: []string{"--cache-to=type=gha,scop=x"}, err: `cache type gha: unknown attribute "scop"`, hint: "did you mean scope?"},
		{args: []string{"--cache-to=type=inline,mode=most"}, err: `cache mode "most": expected min or max`},
		{args: []string{"--attest=type=vex"}, err: `type "vex": expected provenance or sbom`},
		{args: []string{"--attest=type=provenance,builder-id=x"}, err: `type provenance: attribute "builder-id" is not supported`, hint: "expected only mode"},
		{args: []string{"--provenance=mode=most"}, err: `expected min, max, true or false, found "most"`},
		{args: []string{"--sbom=generator=A B"}, err: "expected true, false or the image of a generator"},
		{args: []string{"--network=bridge"}, err: `network "bridge" is not supported`, hint: "known: default, none, host"},
		{args: []string{"--allow=network.hosts"}, err: `entitlement "network.hosts" is not supported`, hint: "did you mean network.host?"},
		{args: []string{"--allow=device"}, err: `entitlement "device" is not supported`},
		{args: []string{"--add-host=a"}, err: `host "a": expected the form NAME=IP`},
		{args: []string{"--add-host=a:host-gateway"}, err: `host "a:host-gateway": expected the form NAME=IP`},
		{args: []string{"--shm-size=much"}, err: `size "much": expected a number of bytes with a unit, such as 64m`},
		{args: []string{"--ulimit=files=1"}, err: `ulimit "files=1": expected the form NAME=SOFT[:HARD]`},
		{args: []string{"-o", "out"}, err: `rawOptions: --output: type "local" is not supported`, hint: "expected oci, registry or image"},
		{args: []string{"--output=type=oci"}, err: "type oci: expected dest=PATH"},
		{args: []string{"--output=type=oci,dest=x.tar"}, err: "x.tar: expected an absolute path"},
		{args: []string{"--build-args=A=b"}, err: `rawOptions: "--build-args" is not supported`, hint: "did you mean --build-arg?"},
		{args: []string{"stray"}, err: `"stray" is not supported`},
		{args: []string{"-x"}, err: `"-x" is not supported`},
		{args: []string{"--"}, err: `"--" is not supported`},
		{args: []string{"-"}, err: `"-" is not supported`},
		{args: []string{""}, err: `"" is not supported`},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			got := request{dir: "src"}
			err := got.addRaw(c.args)
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(stages.Hint(err), c.hint) {
				t.Errorf("error: %v (hint: %s)\nexpected: %s (hint: %s)", err, stages.Hint(err), c.err, c.hint)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats what may be a secret")
			}
		})
	}
}

// The options of the commands' own help texts and man pages.
const (
	// https://docs.docker.com/reference/cli/docker/build-legacy/, and what former versions had.
	dockerBuild = `--add-host --build-arg --cache-from --cgroup-parent --compress --cpu-period --cpu-quota --cpu-shares
		--cpuset-cpus --cpuset-mems --disable-content-trust --file --force-rm --iidfile --isolation --label --memory --memory-swap
		--network --no-cache --output --platform --progress --pull --quiet --rm --secret --security-opt --shm-size --squash --ssh
		--stream --tag --target --ulimit`
	// https://docs.docker.com/reference/cli/docker/buildx/build/, and its hidden ones.
	dockerBuildx = `--add-host --allow --annotation --attest --build-arg --build-context --builder --cache-from --cache-to --call
		--cgroup-parent --check --debug --file --iidfile --label --load --metadata-file --network --no-cache --no-cache-filter
		--output --platform --policy --print --progress --provenance --pull --push --quiet --resource --sbom --secret --shm-size
		--ssh --tag --target --ulimit
		--memory --memory-swap --cpu-shares --cpu-period --cpu-quota --cpuset-cpus --cpuset-mems --compress --isolation
		--security-opt --squash --rm --force-rm`
	// https://github.com/vmware-archive/buildkit-cli-for-kubectl, with kubectl's own.
	kubectlBuildkit = `--push --tag --build-arg --file --label --cache-from --cache-to --target --allow --frontend --quiet
		--network --add-host --iidfile --squash --ulimit --security-opt --compress --memory --memory-swap --shm-size --cpu-shares
		--cpu-period --cpu-quota --cpuset-cpus --cpuset-mems --cgroup-parent --isolation --rm --force-rm --platform --secret --ssh
		--output --no-cache --progress --pull --registry-secret --builder
		--as --as-group --cache-dir --certificate-authority --client-certificate --client-key --cluster --context
		--insecure-skip-tls-verify --kubeconfig --namespace --request-timeout --server --tls-server-name --token --user`
)

func TestEveryOptionIsDecidedOn(t *testing.T) {
	known := map[string]bool{}
	for command, list := range map[string]string{"docker build": dockerBuild, "docker buildx build": dockerBuildx, "kubectl buildkit build": kubectlBuildkit} {
		for name := range strings.FieldsSeq(list) {
			known[name] = true
			if _, ok := rawOptions[name]; !ok {
				t.Errorf("%s: nothing is said of %s", command, name)
			}
		}
	}
	for _, name := range sortedKeys(rawOptions) {
		if !known[name] {
			t.Errorf("%s is an option of no command", name)
		}
	}
	for short, long := range shortOptions {
		if _, ok := rawOptions[long]; !ok {
			t.Errorf("%s stands for %s, which isn't known", short, long)
		}
	}
}

// What is said of each option, all three ways.
func TestDecisions(t *testing.T) {
	var sets, means, refused []string
	for _, name := range sortedKeys(rawOptions) {
		switch o := rawOptions[name]; {
		case o.hint != "":
			refused = append(refused, name)
			var r request
			args := []string{name, "x"}
			if o.isSwitch {
				args = args[:1]
			}
			if err := r.addRaw(args); err == nil || err.Error() != `rawOptions: "`+name+`" is not supported` || stages.Hint(err) != o.hint {
				t.Errorf("%s: error %v (hint: %s)", name, err, stages.Hint(err))
			}
		case o.set != nil:
			sets = append(sets, name)
		default:
			means = append(means, name)
			var r request
			if err := r.addRaw(slices.Concat([]string{name}, slices.Repeat([]string{"x"}, map[bool]int{false: 1}[o.isSwitch]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(request{}, r, sameRequest); diff != "" {
				t.Errorf("%s means something:\n%s", name, diff)
			}
		}
	}
	if got := []int{len(sets), len(means), len(refused)}; !slices.Equal(got, []int{24, 25, 22}) {
		t.Errorf("%v options set something, mean nothing, are refused:\n%v\n%v\n%v", got, sets, means, refused)
	}
}

func FuzzRawOptions(f *testing.F) {
	f.Add("--build-arg=A=1\n--target\nx\n-fD\n--pull\n--platform=linux/amd64,")
	f.Add("-qf=D\n--secret=id=a,src=b\n--ssh=a=b,c\n--cache-to=type=local,dest=/x\n--build-context=a=../b")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		r := request{dir: "src"}
		err := r.addRaw(args)
		if err != nil {
			if err.Error() == "" || strings.Contains(stages.Hint(err), "\x00") {
				t.Errorf("error %q", err)
			}
			return
		}
		for name := range maps.Keys(r.options.Args) {
			if name == "" {
				t.Errorf("an argument without a name from %q", args)
			}
		}
		for name, c := range maps.All(r.options.Contexts) {
			if c.Folder != "" {
				if _, err := stages.Clean(c.Folder); err != nil {
					t.Errorf("context %s from %q: %v", name, args, err)
				}
			}
		}
	})
}
