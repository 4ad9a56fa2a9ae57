// Package gitlab renders a run for GitLab CI: sections in the log, and the reports “dotenv” and
// “terraform” of a job: https://docs.gitlab.com/ci/yaml/artifacts_reports.
package gitlab

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
)

var noSectionName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// sectionName is the name of a step's section. GitLab takes letters, digits and “_.-”.
func sectionName(step string) string { return "strake_" + noSectionName.ReplaceAllString(step, "_") }

// Groups are how GitLab folds the lines of a step. A section is marked by control characters, which
// no other line has.
func Groups() render.Groups {
	mark := func(kind, step, options string) string {
		return fmt.Sprintf("\x1b[0Ksection_%s:%d:%s%s\r\x1b[0K", kind, time.Now().Unix(), sectionName(step), options)
	}
	return render.Groups{
		Open:   func(step string) string { return mark("start", step, "[collapsed=true]") + render.Line(step) + "\n" },
		Close:  func(step string) string { return mark("end", step, "") + "\n" },
		Escape: func(line string) string { return render.Line(line) },
	}
}

// Plan writes the report “terraform”, which shows in a merge request how many objects change.
func Plan(w io.Writer, run *report.Run) error {
	c := run.Counts().Changes
	return json.NewEncoder(w).Encode(struct {
		Create int `json:"create"`
		Update int `json:"update"`
		Delete int `json:"delete"`
	}{c.Create, c.Update, c.Delete})
}

// What GitLab takes of a file of variables at least: those of the Premium tier are limited most.
const (
	maxVariables = 20
	maxDotenv    = 5 << 10
)

// Dotenv writes the report “dotenv”: variables for later jobs. Images that don't fit any more are left out,
// and STRAKE_IMAGES counts all.
func Dotenv(w io.Writer, run *report.Run) error {
	c := run.Counts().Changes
	var lines []string
	add := func(name string, value any) {
		lines = append(lines, fmt.Sprintf("%s=%s\n", name, render.Line(fmt.Sprint(value))))
	}
	add("STRAKE_OUTCOME", run.Outcome())
	add("STRAKE_EXIT_CODE", run.Verdict.ExitCode)
	add("STRAKE_RUN", run.Run)
	add("STRAKE_CHANGED", c.Any())
	add("STRAKE_CREATE", c.Create)
	add("STRAKE_UPDATE", c.Update)
	add("STRAKE_DELETE", c.Delete)
	add("STRAKE_IMAGES", len(run.Images))
	taken := map[string]bool{}
	for _, i := range run.Images {
		if name := variable(i.From); !taken[name] {
			taken[name] = true
			add(name, i.To)
		}
	}
	size, count := 0, 0
	for _, line := range lines {
		if size+len(line) > maxDotenv || count == maxVariables {
			continue
		}
		size, count = size+len(line), count+1
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

var noVariable = regexp.MustCompile(`[^A-Z0-9]+`)

// variable is the name of the variable for an image.
func variable(image string) string {
	return "STRAKE_IMAGE_" + strings.Trim(noVariable.ReplaceAllString(strings.ToUpper(image), "_"), "_")
}
