package markdown_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/markdown"
	"strake.dev/strake/internal/report/reporttest"
)

const big = 1 << 20

// page renders Markdown as GitHub and GitLab do, with HTML in it and with bare URLs as links.
func page(t *testing.T, text string) *html.Node {
	t.Helper()
	var out bytes.Buffer
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(goldmarkhtml.WithUnsafe()))
	if err := md.Convert([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// check checks that there are only elements that strake writes, and that texts from elsewhere stand in code.
func check(t *testing.T, text, word string) {
	t.Helper()
	allowed := " html head body h3 p code ul li strong table thead tbody tr th td pre details summary blockquote "
	for n := range page(t, text).Descendants() {
		switch n.Type {
		case html.ElementNode:
			if !strings.Contains(allowed, " "+n.Data+" ") {
				t.Errorf("<%s> in\n%s", n.Data, text)
			}
			for _, a := range n.Attr {
				if n.Data != "code" || a.Key != "class" || a.Val != "language-diff" {
					t.Errorf("<%s %s=%q> in\n%s", n.Data, a.Key, a.Val, text)
				}
			}
		case html.TextNode:
			if strings.Contains(n.Data, word) && n.Parent.Data != "code" {
				t.Errorf("%q stands in <%s> in\n%s", n.Data, n.Parent.Data, text)
			}
		}
	}
}

func TestHostileTexts(t *testing.T) {
	for _, hostile := range reporttest.Hostile {
		t.Run(fmt.Sprintf("%.20q", hostile), func(t *testing.T) {
			check(t, markdown.Render(reporttest.All(hostile), big), "OWNED")
		})
	}
}

func FuzzRender(f *testing.F) {
	for _, hostile := range reporttest.Hostile {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, hostile string) {
		check(t, markdown.Render(reporttest.All("OWNED"+hostile), big), "OWNED")
	})
}

// Code shows what it is given, whatever that is.
func FuzzCode(f *testing.F) {
	for _, hostile := range reporttest.Hostile {
		f.Add(hostile)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, line := range map[string]string{
			"span": "- a " + markdown.Code(text) + " b", "cell": "| x | y |\n|---|---|\n| a " + markdown.Cell(text) + " b | c |\n",
		} {
			var parts []string
			for n := range page(t, line).Descendants() {
				if s := strings.TrimSpace(n.Data); n.Type == html.TextNode && s != "" {
					parts = append(parts, s)
				}
			}
			if got := strings.Join(parts, ""); !strings.Contains(got, "a") || strings.Count(line, "\n") > 3 || len(parts) > 6 {
				t.Errorf("%s of %q: %q", name, text, parts)
			}
		}
	})
}

func TestReport(t *testing.T) {
	want := "### ❌ `strake run` `default/demo`: failed\n\n" +
		"steps-done=3 steps-skipped=1 steps-failed=1 steps-not-run=1 create=1 update=1 delete=1 unchanged=1 push=1 images-built=1 images-resolved=1 build-steps-done=1 build-steps-cached=1 waits=1 warnings=1\n\n" +
		"```\ndeploy-kapp: deployment/web isn't ready\n```\n\n" +
		"| step | stage | |\n|---|---|---|\n" +
		"| <code>fetch&#45;vendir</code> | <code>fetch</code> | <code>done in 1&#46;50s</code> |\n" +
		"| <code>template&#45;ytt</code> | <code>template</code> | <code>skipped&#58; nothing changed since the last run</code> |\n" +
		"| <code>build&#45;kbld</code> | <code>build</code> | <code>done in 20&#46;0s</code> |\n" +
		"| <code>publish&#45;artifact</code> | <code>publish</code> | <code>done in 0&#46;30s</code> |\n" +
		"| <code>deploy&#45;kapp</code> | <code>deploy</code> | <code>failed after 8&#46;00s</code> |\n" +
		"| <code>deploy&#45;ssa</code> | <code>deploy</code> | <code>not run</code> |\n\n" +
		"**Images**\n\n- `app` → `r.io/app@sha256:1`, `built`: `src/main.go changed`\n- `redis:7` → `r.io/redis@sha256:2`, `resolved`\n\n" +
		"**Changes**\n\n- push `image/r.io/app`\n- create `Deployment/web (default)`\n- update `ConfigMap/web (default)`\n- delete `Secret/old (default)`\n\n" +
		"<details><summary><code>ConfigMap&#47;web &#40;default&#41;</code></summary>\n\n```diff\n@@ -1 +1 @@\n-a: 1\n+a: 2\n```\n\n</details>\n\n" +
		"**Warnings**\n\n- `deploy-kapp: the namespace is labelled twice`\n\n" +
		"<details><summary>Log of <code>deploy&#45;kapp</code></summary>\n\n```\nfailed: deployment/web\n```\n\n</details>\n\n"
	got := markdown.Render(reporttest.Example().Run(report.Failed, 1, "deploy-kapp: deployment/web isn't ready"), big)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// However little room there is, what is there is whole.
func TestLimit(t *testing.T) {
	run := reporttest.Many(20_000).Run(report.Succeeded, 0, "")
	for limit := 0; limit < 400_000; limit += 9_999 {
		got := markdown.Render(run, limit)
		if len(got) > limit {
			t.Errorf("%d bytes, allowed are %d", len(got), limit)
		}
		if got == "" {
			continue
		}
		check(t, got, "OWNED")
		if !strings.Contains(got, "**Cut here:**") || strings.Count(got, "<details>") != strings.Count(got, "</details>") {
			t.Errorf("a report of at most %d bytes ends with %q", limit, got[max(0, len(got)-200):])
		}
	}
}
