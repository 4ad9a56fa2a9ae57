package html_test

import (
	"context"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nethtml "golang.org/x/net/html"
)

// open opens a page in a headless Chromium and returns what it makes of it, and what it tells of problems.
func open(t *testing.T, page string, args ...string) (dom, console string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium isn't installed")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars",
		"--window-size=1200,1400", "--user-data-dir=" + filepath.Join(dir, "user"),
	}, append(args, "file://"+file)...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var lines []string
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			lines = append(lines, line)
		}
	}
	return stdout.String(), strings.Join(lines, "")
}

// The browser shows the page as it is meant, under the page's own policy.
func TestInABrowser(t *testing.T) {
	page := render(t, example())
	dom, console := open(t, page, "--dump-dom")
	if console != "" {
		t.Errorf("the browser complains:\n%s", console)
	}
	rows := 0
	for n := range parse(t, dom).Descendants() {
		if n.Type == nethtml.ElementNode && n.Data == "rect" {
			rows++
		}
	}
	if rows != 8 {
		t.Errorf("%d bars, want 8", rows)
	}
	shot := filepath.Join(t.TempDir(), "shot.png")
	open(t, page, "--screenshot="+shot)
	file, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X != 1200 || size.Y != 1400 {
		t.Fatalf("the picture is %v", size)
	}
	// The bars of the build and of the step that failed take more than half, and a quarter, of the timeline.
	widest := map[color.RGBA]int{{0x1a, 0x7f, 0x37, 0xff}: 0, {0xcf, 0x22, 0x2e, 0xff}: 0, {0x09, 0x69, 0xda, 0xff}: 0}
	for y := range 1400 {
		row := map[color.RGBA]int{}
		for x := 380; x < 1100; x++ {
			row[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]++
		}
		for c := range widest {
			widest[c] = max(widest[c], row[c])
		}
	}
	for c, want := range map[color.RGBA]int{{0x1a, 0x7f, 0x37, 0xff}: 400, {0x09, 0x69, 0xda, 0xff}: 400, {0xcf, 0x22, 0x2e, 0xff}: 150} {
		if widest[c] < want {
			t.Errorf("the longest bar of the colour %v has %d pixels, want %d", c, widest[c], want)
		}
	}
}

// A page that breaks its policy is noticed.
func TestBrowserTellsOfViolations(t *testing.T) {
	page := strings.Replace(render(t, example()), "<main>", `<main><p style="color:red">x</p><script>1</script>`, 1)
	if _, console := open(t, page, "--dump-dom"); !strings.Contains(console, "Content Security Policy") {
		t.Errorf("the browser says nothing but %q", console)
	}
}
