package html_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nethtml "golang.org/x/net/html"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/html"
	"strake.dev/strake/internal/report/reporttest"
)

func render(t *testing.T, run *report.Run) string {
	t.Helper()
	var out strings.Builder
	if err := html.Write(&out, run); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func parse(t *testing.T, page string) *nethtml.Node {
	t.Helper()
	doc, err := nethtml.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func attr(n *nethtml.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func example() *report.Run {
	return reporttest.Example().Run(report.Failed, 1, "deploy-kapp: deployment/web isn't ready")
}

func TestPage(t *testing.T) {
	run := example()
	page := render(t, run)
	counts := map[string]string{}
	bars := map[string]int{}
	var headings []string
	for n := range parse(t, page).Descendants() {
		switch n.Data {
		case "data":
			counts[attr(n, "data-count")] = attr(n, "value")
		case "rect":
			bars[attr(n, "class")]++
		case "h2":
			headings = append(headings, n.FirstChild.Data)
		}
	}
	want := map[string]string{}
	for _, n := range run.Counts().Numbers() {
		want[n.Name] = fmt.Sprint(n.Value)
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"done": 3, "skipped": 1, "failed": 1, "build done": 1, "build cached": 1, "wait failed": 1}, bars); diff != "" {
		t.Errorf("bars (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Why it failed", "Counts", "Timeline", "Images", "Changes", "Warnings", "Logs"}, headings); diff != "" {
		t.Errorf("headings (-want +got):\n%s", diff)
	}
	for _, text := range []string{
		`<rect class="build done" x="50" y="1" width="671" height="8"/>`, `<span class="add">&#43;a: 2`, "src/main.go changed",
		`<span class="outcome" id="outcome">failed</span>`,
	} {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
}

// Of texts from elsewhere come no elements, no attributes that do anything, and nothing is fetched.
func FuzzPage(f *testing.F) {
	for _, hostile := range reporttest.Hostile {
		f.Add(hostile)
	}
	plain := elements(f, "plain")
	f.Fuzz(func(t *testing.T, hostile string) {
		for n := range parse(t, render(t, reporttest.All(hostile))).Descendants() {
			if n.Type != nethtml.ElementNode {
				continue
			}
			if !slices.Contains(plain, n.Data) {
				t.Errorf("<%s> comes of %q", n.Data, hostile)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || slices.Contains([]string{"href", "src", "style", "action"}, a.Key) {
					t.Errorf("<%s %s=%q> comes of %q", n.Data, a.Key, a.Val, hostile)
				}
			}
		}
	})
}

// elements are those of a page with some text, and those that other texts may leave out.
func elements(f *testing.F, text string) []string {
	var out strings.Builder
	run := reporttest.All(text)
	if err := html.Write(&out, run); err != nil {
		f.Fatal(err)
	}
	doc, err := nethtml.Parse(strings.NewReader(out.String()))
	if err != nil {
		f.Fatal(err)
	}
	found := []string{"i", "li", "ul"}
	for n := range doc.Descendants() {
		if n.Type == nethtml.ElementNode {
			found = append(found, n.Data)
		}
	}
	return found
}

func TestManyEventsStaySmall(t *testing.T) {
	page := render(t, reporttest.Many(10_000).Run(report.Succeeded, 0, ""))
	if len(page) > 2<<20 {
		t.Errorf("10,000 events make %d bytes", len(page))
	}
	huge := reporttest.Many(60_000).Run(report.Succeeded, 0, "")
	if page := render(t, huge); len(page) > 5<<20 {
		t.Errorf("60,000 events make %d bytes", len(page))
	}
}

func TestPolicy(t *testing.T) {
	page := render(t, example())
	for _, text := range []string{"default-src &#39;none&#39;; style-src &#39;sha256-", "base-uri &#39;none&#39;; form-action &#39;none&#39;"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	if strings.Contains(page, "style=") || strings.Contains(page, "<script") || strings.Contains(page, "http://") || strings.Contains(page, "https://") {
		t.Error("the page has what its policy forbids")
	}
}
