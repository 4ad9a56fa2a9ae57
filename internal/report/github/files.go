package github

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"strake.dev/strake/internal/report"
	"strake.dev/strake/internal/report/markdown"
	"strake.dev/strake/stages"
)

// maxSummary is how many bytes the summary of a step may have: GitHub drops one that has more. A little is
// left for others.
const maxSummary = 1<<20 - 4<<10

// AddSummary adds the summary of a run to the file that GITHUB_STEP_SUMMARY names. What doesn't fit beside
// what is there already is left out.
func AddSummary(file string, run *report.Run) error {
	return add(file, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		_, err = io.WriteString(f, markdown.Render(run, maxSummary-int(info.Size())))
		return err
	})
}

// AddOutputs adds the outputs of the step to the file that GITHUB_OUTPUT names: outcome, exit-code, changed,
// create, update, delete, images and digests.
func AddOutputs(file string, run *report.Run) error {
	return add(file, func(f *os.File) error {
		text, err := outputs(run)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		return err
	})
}

func add(file string, write func(*os.File) error) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func outputs(run *report.Run) (string, error) {
	digests := map[string]string{}
	for _, i := range run.Images {
		if _, digest, ok := strings.Cut(i.To, "@"); ok {
			digests[i.From] = digest
		}
	}
	images := run.Images
	if images == nil {
		images = []stages.Image{}
	}
	counts := run.Counts().Changes
	var out strings.Builder
	for _, o := range []struct {
		name  string
		value any
	}{
		{"outcome", string(run.Outcome())},
		{"exit-code", run.Verdict.ExitCode},
		{"run", run.Run},
		{"changed", counts.Any()},
		{"create", counts.Create},
		{"update", counts.Update},
		{"delete", counts.Delete},
		{"images", images},
		{"digests", digests},
	} {
		text, ok := o.value.(string)
		if !ok {
			data, err := json.Marshal(o.value)
			if err != nil {
				return "", err
			}
			text = string(data)
		}
		out.WriteString(output(o.name, text))
	}
	return out.String(), nil
}

// output sets an output, by a delimiter that nobody can know beforehand if it holds what an image's or
// step's name says.
func output(name, value string) string {
	if !strings.ContainsAny(value, "\r\n{[") {
		return name + "=" + value + "\n"
	}
	delimiter := "strake_" + rand.Text()
	return fmt.Sprintf("%s<<%s\n%s\n%s\n", name, delimiter, value, delimiter)
}
