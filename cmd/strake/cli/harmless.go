package cli

import (
	"io"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report/github"
)

// harmless returns a writer for texts that people read. In a log of GitHub Actions, lines from elsewhere
// could be taken for commands to the runner. Each Write must consist of whole lines.
func (t *tool) harmless(w io.Writer) io.Writer {
	if t.getenv("GITHUB_ACTIONS") != "true" {
		return w
	}
	return harmlessWriter{w}
}

type harmlessWriter struct{ to io.Writer }

func (h harmlessWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(h.to, render.EscapeLines(string(b), github.Escape)); err != nil {
		return 0, err
	}
	return len(b), nil
}
