package schema_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strake.dev/strake/schema"
)

type fruit struct {
	Name    string            `json:"name" required:"true"`
	Color   string            `json:"color,omitempty" enum:"red,green,yellow"`
	Weight  int               `json:"weight,omitempty"`
	Price   float64           `json:"price,omitempty"`
	Ripe    bool              `json:"ripe,omitempty"`
	Keeps   time.Duration     `json:"keeps,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Parts   []part            `json:"parts,omitempty"`
	Raw     *schema.Node      `json:"raw,omitempty"`
	Any     any               `json:"any,omitempty"`
	Counted *int              `json:"counted,omitempty"`
}

func (f *fruit) SetDefaults() { f.Weight = 100 }

func (f *fruit) Validate(n *schema.Node) error {
	if f.Weight < 0 {
		return n.Get("weight").Errorf("is negative")
	}
	return nil
}

type part struct {
	Name string `json:"name" required:"true"`
}

func parseOne(t *testing.T, text string) *schema.Node {
	t.Helper()
	nodes, err := schema.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 1 {
		t.Fatalf("got %d documents, want 1", len(nodes))
	}
	return nodes[0]
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	n := parseOne(t, `
name: "1.10"
color: red
price: 2
ripe: yes
keeps: 1h30m
labels: {a: b}
parts: [{name: core}, {name: skin}]
raw: {x: 1}
any: [1, {y: z}]
counted: 0
`)
	var got fruit
	if err := schema.Decode(n, &got); err != nil {
		t.Fatal(err)
	}
	zero := 0
	raw := got.Raw
	got.Raw = nil
	want := fruit{
		Name: "1.10", Color: "red", Weight: 100, Price: 2, Ripe: true, Keeps: 90 * time.Minute,
		Labels: map[string]string{"a": "b"}, Parts: []part{{"core"}, {"skin"}},
		Any: []any{1, map[string]any{"y": "z"}}, Counted: &zero,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if raw.Get("x").Text() != "1" || raw.Pos().Line != 9 {
		t.Errorf("raw node is %v at %v", raw.Get("x").Text(), raw.Pos())
	}
}

func TestAnExplicitZeroWinsOverTheDefault(t *testing.T) {
	var got fruit
	if err := schema.Decode(parseOne(t, "name: x\nweight: 0\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.Weight != 0 {
		t.Errorf("weight is %d, want 0", got.Weight)
	}
}

func TestDecodeReportsProblems(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"unknown field, near miss": {"name: x\ncolour: red\n", "f.yaml:2:1: colour: unknown field (did you mean color?)"},
		"unknown field, far":       {"name: x\nzzzzzzz: 1\n", "f.yaml:2:1: zzzzzzz: unknown field (known: name, color, weight, price, ripe, keeps, labels, parts, raw, any, counted)"},
		"missing":                  {"color: red\n", "f.yaml:1:1: name: missing, but required"},
		"empty":                    {"name: \"\"\n", "f.yaml:1:7: name: is empty, but required"},
		"null":                     {"name:\n", "f.yaml:1:6: name: is empty, but required"},
		"number for string":        {"name: 1.10\n", `f.yaml:1:7: name: expected a string, found the number 1.10 (put it in quotes: "1.10")`},
		"boolean for string":       {"name: true\n", `f.yaml:1:7: name: expected a string, found the boolean true (put it in quotes: "true")`},
		"list for string":          {"name: [a]\n", "f.yaml:1:7: name: expected a string, found a list"},
		"string for number":        {"name: x\nweight: heavy\n", `f.yaml:2:9: weight: expected a whole number, found the string "heavy"`},
		"float for number":         {"name: x\nweight: 1.5\n", "f.yaml:2:9: weight: expected a whole number, found the number 1.5"},
		"string for bool":          {"name: x\nripe: maybe\n", `f.yaml:2:7: ripe: expected true or false, found the string "maybe"`},
		"quoted bool":              {"name: x\nripe: 'yes'\n", `f.yaml:2:7: ripe: expected true or false, found the string "yes"`},
		"enum":                     {"name: x\ncolor: gren\n", `f.yaml:2:8: color: expected one of red, green, yellow, found "gren" (did you mean green?)`},
		"duration":                 {"name: x\nkeeps: 5\n", `f.yaml:2:8: keeps: expected a duration such as 90s, 5m or 1h30m, found "5"`},
		"negative duration":        {"name: x\nkeeps: -5m\n", `f.yaml:2:8: keeps: expected a duration such as 90s, 5m or 1h30m, found "-5m"`},
		"scalar for mapping":       {"name: x\nlabels: a\n", `f.yaml:2:9: labels: expected a mapping, found the string "a"`},
		"mapping for list":         {"name: x\nparts: {name: a}\n", "f.yaml:2:8: parts: expected a list, found a mapping (begin each entry with “- ”)"},
		"inside a list":            {"name: x\nparts:\n- name: a\n- nam: b\n", "f.yaml:4:3: parts[1].name: missing, but required\nf.yaml:4:3: parts[1].nam: unknown field (did you mean name?)"},
		"validation":               {"name: x\nweight: -1\n", "f.yaml:2:9: weight: is negative"},
		"scalar document":          {"just text\n", `f.yaml:1:1: expected a mapping, found the string "just text"`},
		"several at once":          {"nam: x\nripe: 7\n", "f.yaml:1:1: name: missing, but required\nf.yaml:1:1: nam: unknown field (did you mean name?)\nf.yaml:2:7: ripe: expected true or false, found the number 7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got fruit
			err := schema.Decode(parseOne(t, tt.in), &got)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(sorted(tt.want), sorted(err.Error())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// sorted makes the order of problems at one place not matter.
func sorted(s string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.SplitSeq(s, "\n") {
		lines[line] = true
	}
	return lines
}

func TestParseRefuses(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ",") + "]\n"
	}
	tests := map[string]struct{ in, want string }{
		"bad YAML":      {"a: [1\nb: 2\n", "f.yaml:1:1: did not find expected ',' or ']' (the file is not valid YAML)"},
		"tab":           {"a:\n\tb: 1\n", "f.yaml:2:1: found character that cannot start any token (the file is not valid YAML)"},
		"key twice":     {"a: 1\nb: 2\na: 3\n", `f.yaml:3:1: key "a" is given twice`},
		"alias bomb":    {bomb, "more than 1000000 values once its aliases are expanded"},
		"own alias":     {"a: &a [*a]\n", "alias *a contains itself"},
		"key mapping":   {"{a: 1}: b\n", "f.yaml:1:1: key is not a string"},
		"too deep":      {strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested more than 200 levels deep"},
		"merge of text": {"a: {<<: text}\n", "f.yaml:1:9: value of << is not a mapping"},
		"unknown alias": {"a: *b\n", "unknown anchor 'b' referenced"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Parse("f.yaml", []byte(tt.in))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestMergeKeys(t *testing.T) {
	n := parseOne(t, "base: &b {name: base, color: red}\nx: {<<: *b, name: own}\ny: {<<: [{color: green}, *b]}\n")
	if got := n.Get("x").Get("name").Text() + n.Get("x").Get("color").Text(); got != "ownred" {
		t.Errorf("x is %s", got)
	}
	if got := n.Get("y").Get("name").Text() + n.Get("y").Get("color").Text(); got != "basegreen" {
		t.Errorf("y is %s", got)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("apiVersion: strake.dev/v1alpha1\nkind: App\nmetadata: {name: a}\nspec: {fetch: [{inline: {}}]}\n"))
	f.Add([]byte("apiVersion: strake.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: a}\nspec: {stages: [{name: a, stage: fetch, uses: x, with: &a {b: [1]}, timeout: 5m}]}\n"))
	f.Add([]byte("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: Yg==}\n---\n{}\n"))
	f.Add([]byte("a: &a\n- *a\n"))
	f.Add([]byte(install + packages))
	f.Add([]byte("? {a: b}\n: 1\n<<: {x: y}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := schema.Load("f.yaml", data)
		if file == nil && err == nil {
			t.Fatalf("file %v with error %v", file, err)
		}
		if file != nil && file.Root() == nil {
			t.Fatal("a file without App or Pipeline was accepted")
		}
	})
}

func FuzzReadLock(f *testing.F) {
	f.Add([]byte("apiVersion: vendir.k14s.io/v1alpha1\nkind: LockConfig\ndirectories:\n- path: .\n  contents:\n  - path: .\n    git: {sha: abc, commitTitle: x}\n"))
	f.Add([]byte("apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: a@sha256:0000000000000000000000000000000000000000000000000000000000000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := schema.ReadLock("l.yaml", data)
		if err != nil {
			return
		}
		out, err := lock.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := schema.ReadLock("l.yaml", out)
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, out)
		}
		if d := lock.Differences(again); len(d) > 0 {
			t.Fatalf("written and read again, the lock differs: %v", d)
		}
	})
}
