package names

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	loadData    = "#@ load(\"@ytt:data\", \"data\")\n"
	loadOverlay = "#@ load(\"@ytt:overlay\", \"overlay\")\n"
)

// yttFiles are what the calls of the table find in their folder.
var yttFiles = map[string]string{
	"config/app.yml":           loadData + "---\nkind: A\nname: #@ data.values.name\nreplicas: #@ data.values.replicas\n---\nkind: B\n#@ if data.values.name == \"x\":\non: true\n#@ end\n",
	"config/b.yaml":            "kind: C\ntext: |\n  a\n  b\nempty: {}\n---\n---\n{}\n---\nlist: [1, two, 3.0]\n",
	"config/schema.yml":        "#@data/values-schema\n---\n#@schema/desc \"who\"\nname: x\n#@schema/validation min=1\nreplicas: 1\nlist: [\"\"]\n#@schema/nullable\nmaybe: \"\"\n",
	"config/funcs.lib.yml":     "#@ def labels():\na: 1\n#@ end\n",
	"config/notes.md":          "# not a template\n",
	"values.yml":               "#@data/values\n---\nname: fromfile\nreplicas: 3\n",
	"plain.yml":                "name: plain\nlist: [a, b]\n",
	"overlay.yml":              loadOverlay + "#@overlay/match by=overlay.subset({\"kind\": \"A\"})\n---\n#@overlay/match missing_ok=True\nadded: yes please\n",
	"overlay-none.yml":         loadOverlay + "#@overlay/match by=overlay.subset({\"kind\": \"Z\"})\n---\na: 1\n",
	"text.txt":                 "(@ load(\"@ytt:data\", \"data\") @)hello (@= data.values.name @)\n",
	"one.yml":                  "a: 1\n",
	"comment.yml":              "#@ x = 1\n# what\na: #@ x\n",
	"broken.yml":               "a: b: c\n",
	"broken-code.yml":          "#@ if True:\na: 1\n",
	"undefined.yml":            "a: #@ nope\n",
	"fails.yml":                "#@ load(\"@ytt:assert\", \"assert\")\na: #@ assert.fail(\"because\")\n",
	"range.yml":                "a: #@ range(3)\n",
	"keys.yml":                 "1: a\ntrue: b\n",
	"twice.yml":                "#@ x = 1\na: 1\na: #@ x\n",
	"strict.yml":               "a: yes\n",
	"version.yml":              "#@ load(\"@ytt:version\", \"version\")\n#@ version.require_at_least(\"0.40.0\")\na: 1\n",
	"version-new.yml":          "#@ load(\"@ytt:version\", \"version\")\n#@ version.require_at_least(\"9.0.0\")\na: 1\n",
	"math.yml":                 "#@ load(\"@ytt:math\", \"math\")\na: #@ math.ceil(1.5)\n",
	"toml.yml":                 "#@ load(\"@ytt:toml\", \"toml\")\na: #@ toml.encode({\"a\": 1})\n",
	"lib/main.yml":             "#@ load(\"@ytt:library\", \"library\")\n#@ load(\"@ytt:template\", \"template\")\n--- #@ template.replace(library.get(\"inner\").with_data_values({\"name\": \"given\"}).eval())\n",
	"lib/_ytt_lib/inner/s.yml": "#@data/values-schema\n---\nname: \"\"\n",
	"lib/_ytt_lib/inner/a.yml": loadData + "inner: #@ data.values.name\n",
	"unformatted.yml":          "a:   1\nb: {c:   2}\n",
	"same/one.yml":             "a: 2\n",
}

// yttCalls are command lines, with words apart from each other by blanks; “<” and a file are standard
// input.
var yttCalls = []string{
	"", "--help", "-h", "help", "help template", "help website", "help nope", "template --help", "t -h", "fmt --help", "website --help", "version --help", "completion --help",
	"version", "--version", "-v", "version extra", "extra", "--nope", "-f", "--debug=maybe", "fmt extra", "completion bash", "__complete v", "website --listen-addr nowhere",

	"-f config", "-f config -f values.yml", "-f values.yml -f config", "-f config -f overlay.yml", "-f config -f overlay-none.yml", "-f config/app.yml", "-f config/app.yml -f config/schema.yml",
	"-f one.yml -f -  <plain.yml", "-f - <broken.yml", "-f x.yml=one.yml", "-f x.yml=- <one.yml", "-f a=b=one.yml", "-f nowhere", "-f one.yml -f nowhere", "-f http://127.0.0.1:1/a.yml", "template -f one.yml", "t -f config", "tpl -f one.yml -o json",
	"-f one.yml -f same", "-f config/notes.md",

	"-f config -v name=y", "-f config -v nope=y", "-f config -v replicas=2", "-f config --data-value-yaml replicas=2", "-f config --data-value-yaml replicas=0", "-f config --data-value-yaml list=[a,b]", "-f config --data-value-yaml name=1",
	"-f config --data-value-file name=one.yml", "-f config --data-value-file name=nowhere", "-f config --data-values-file plain.yml", "-f config --data-values-file values.yml", "-f config --data-values-file - <plain.yml", "-f config --data-values-env V", "-f config --data-values-env-yaml VY",
	"-f config --data-values-inspect", "-f config --data-values-inspect -o json", "-f config --data-values-schema-inspect", "-f config --data-values-schema-inspect -o openapi-v3", "-f config --data-values-schema-inspect -o openapi-v3 -o json", "-f one.yml --data-values-schema-inspect -o openapi-v3", "-f config -o openapi-v3", "-f config --data-value-yaml replicas=0 --dangerous-data-values-disable-validation",
	"-f config --files-inspect", "-f config --files-inspect -o json",

	"-f config/b.yaml -o json", "-f config/b.yaml -o json,yaml", "-f config -o pos", "-f config -o yaml,json", "-f config -o nope", "-f one.yml -f keys.yml",
	"-f config -f text.txt", "-f text.txt -f config/schema.yml", "-f text.txt -f config/schema.yml --output-files out", "-f config --output-files out", "-f config -f text.txt --output-files out/deep", "-f config --dangerous-emptied-output-directory out", "-f config --dangerous-emptied-output-directory .", "-f one.yml -f same --dangerous-emptied-output-directory out", "-f one.yml --output-files one.yml",
	"-f config --file-mark notes.md:type=text-plain --output-files out", "-f config --file-mark b.yaml:exclude=true", "-f config --file-mark **/*.yml:exclude=true", "-f config --file-mark nope.yml:exclude=true", "-f config --file-mark b.yaml:what=true", "-f config --file-mark b.yaml", "-f config --file-mark b.yaml:path=c.yaml --output-files out", "-f config --file-mark b.yaml:type=text-plain", "-f config --file-mark b.yaml:exclusive-for-output=true", "-f config --file-mark funcs.lib.yml:for-output=true",
	"-f lib", "-f lib --output-files out", "-f lib -v @inner:name=flag", "-f lib -v @nope:name=flag",

	"-f comment.yml", "-f comment.yml --ignore-unknown-comments", "-f broken.yml", "-f broken-code.yml", "-f undefined.yml", "-f fails.yml", "-f twice.yml", "-f twice.yml --implicit-map-key-overrides", "-f strict.yml", "-f strict.yml -s", "-f config -s",
	"-f version.yml", "-f version-new.yml", "-f math.yml", "-f toml.yml",
	`--bulk-in {"files":[{"name":"a.yml","data":"a:_1"},{"name":"b.yml","data":"b:_2"}]}`, `--bulk-in {"files":[{"name":"a.yml","data":"a:_1"}]} --bulk-out`, "-f config --bulk-out", "-f broken.yml --bulk-out", "-f config -f text.txt --bulk-out", "--bulk-in {", "--bulk-in {} --bulk-out",
	"-f links", "-f links --allow-symlink-destination one.yml", "-f links --dangerous-allow-all-symlink-destinations", "fmt -f unformatted.yml", "fmt -f broken.yml", "fmt -f config -s",
}

func TestYtt(t *testing.T) {
	t.Parallel()
	dir := folder(t, yttFiles)
	link(t, "../one.yml", dir+"/links/a.yml")
	for _, line := range yttCalls {
		t.Run(line, func(t *testing.T) {
			often(t, line)
			args, stdin, _ := strings.Cut(line, " <")
			c := call{args: strings.Fields(args), dir: dir, stdin: yttFiles[stdin], env: []string{"V_name=env", "VY_list=[e]"}}
			for i := range c.args {
				c.args[i] = strings.ReplaceAll(c.args[i], "_1", " 1")
			}
			want, got := both(t, "ytt", c)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-ytt +ours):\n%s", diff)
			}
		})
	}
}

// Many documents in many files, which are printed as they were marshalled for each file.
func TestYttManyFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{"all/o.yml": loadOverlay + "#@overlay/match by=overlay.all, expects=\"1+\"\n---\n#@overlay/match missing_ok=True\nadded: true\n"}
	for i := range 30 {
		files[fmt.Sprintf("all/%02d.yml", i)] = strings.Repeat(fmt.Sprintf("---\nname: n%d\n---\n", i), i%4)
	}
	want, got := both(t, "ytt", call{args: []string{"-f", "all"}, dir: folder(t, files)})
	if diff := cmp.Diff(want, got); diff != "" || want.Code != 0 {
		t.Errorf("differs (-ytt +ours), code %d:\n%s", want.Code, diff)
	}
}

// Where ytt panics, ours says so in a line and exits as for any other error; a panic that ytt itself
// catches and prints is the same but for what differs with each run.
func TestYttPanics(t *testing.T) {
	t.Parallel()
	dir := folder(t, yttFiles)
	for line, test := range map[string]struct {
		code int
		want string
	}{
		"-f keys.yml -o json": {2, "ytt: Error: ytt panicked:\n  Expected key to be string\n"},
		"-f range.yml":        {1, ""},
	} {
		want, got := both(t, "ytt", call{args: strings.Fields(line), dir: dir})
		if want.Code != test.code || got.Code != 1 {
			t.Errorf("%s: exit codes %d and %d", line, want.Code, got.Code)
		}
		if test.want == "" {
			test.want, _, _ = strings.Cut(want.Stderr, "(backtrace:")
		}
		if text, _, _ := strings.Cut(got.Stderr, "(backtrace:"); text != test.want {
			t.Errorf("%s: %s", line, got.Stderr)
		}
	}
}

// The program may be called by any path, as the first argument, and by a name of Windows.
func TestYttByAnyName(t *testing.T) {
	t.Parallel()
	dir := folder(t, yttFiles)
	link(t, program(t, "ours/strake"), dir+"/bin/ytt.exe")
	c := call{dir: dir, args: []string{"-f", "config"}}
	want := run(t, c, program(t, "real/ytt"))
	for name, got := range map[string]result{
		"argument": run(t, c, program(t, "ours/strake"), "ytt"),
		"ytt.exe":  run(t, c, dir+"/bin/ytt.exe"),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-ytt +ours):\n%s", name, diff)
		}
	}
	if help := run(t, call{dir: dir, args: []string{"help", "ytt"}}, program(t, "ours/strake")); !strings.HasPrefix(help.Stdout, "Be ytt") {
		t.Errorf("%+v", help)
	}
}

// A standard output that can't be written to is an error, which ytt doesn't notice.
func TestYttLostOutput(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := folder(t, yttFiles)
	for _, line := range []string{"-f config", "-f config -o pos", "-f config --data-values-inspect", "-f one.yml --bulk-out"} {
		cmd := command(t.Context(), call{args: strings.Fields(line), dir: dir}, program(t, "ours/ytt"))
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		if err := cmd.Run(); err == nil || !strings.HasPrefix(errs.String(), "ytt: Error: standard output: ") && !strings.HasPrefix(errs.String(), "ytt: Error:\n") {
			t.Errorf("%s: %v, %s", line, err, errs.String())
		}
	}
}
