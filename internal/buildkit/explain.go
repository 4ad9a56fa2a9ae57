package buildkit

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// FewReasons is how many reasons [Explain] gives where there is one line for them.
const FewReasons = 5

// Explain says, in short sentences, in what a build's input differs from an earlier one; none if it
// doesn't. Of parts whose details are not known it says that they changed. It says at most most things,
// and counts the others.
func Explain(was, now *Record, most int) []string {
	e := &explainer{was: was, now: now}
	var groups [][]string
	for _, part := range e.parts() {
		reasons := e.part(part)
		if reasons == nil {
			reasons = []string{e.plainly(part)}
		}
		groups = append(groups, reasons)
	}
	return fair(groups, most)
}

// fair takes the first reasons of each group in turn, until there are enough, and counts the others.
func fair(groups [][]string, most int) []string {
	total, take := 0, make([]int, len(groups))
	for _, g := range groups {
		total += len(g)
	}
	for left := min(total, most); left > 0; {
		for i := range groups {
			if take[i] < len(groups[i]) && left > 0 {
				take[i]++
				left--
			}
		}
	}
	var reasons []string
	for i, g := range groups {
		reasons = append(reasons, g[:take[i]]...)
	}
	if more := total - len(reasons); more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more", more))
	}
	return reasons
}

type explainer struct{ was, now *Record }

// partOrder is the order in which parts are told of.
var partOrder = []string{PartDockerfile, PartArgs, PartTarget, PartPlatforms, PartBases, PartContexts, PartOptions, PartContext, PartRecipe}

// parts lists those that differ.
func (e *explainer) parts() []string {
	changed := e.now.Parts.Changed(e.was.Parts)
	slices.SortStableFunc(changed, func(a, b string) int { return slices.Index(partOrder, a) - slices.Index(partOrder, b) })
	return changed
}

// plainly says that a part changed.
func (e *explainer) plainly(part string) string {
	what := map[string]string{
		PartContext: "context " + e.now.context, PartDockerfile: "Dockerfile " + e.now.dockerfile, PartArgs: "build arguments", PartTarget: "target",
		PartPlatforms: "platforms", PartBases: "base images", PartContexts: "named contexts", PartOptions: "build options", PartRecipe: "strake's build recipe",
	}[part]
	if what == "" {
		what = part
	}
	return what + " changed"
}

// known returns the lists of that name, if both are known.
func (e *explainer) known(list string) (was, now []detail, ok bool) {
	was, known := e.was.details[list]
	now, ok = e.now.details[list]
	return was, now, ok && known
}

// part says what changed in a part; nil if that can't be told, and empty if it is told elsewhere.
func (e *explainer) part(part string) []string {
	was, now, ok := e.known(part)
	if !ok {
		return nil
	}
	switch part {
	case PartDockerfile:
		return []string{fmt.Sprintf("%s changed at %s", e.now.dockerfile, changedLines(was, now))}
	case PartTarget, PartPlatforms:
		return oneValue(part, was, now)
	case PartArgs, PartOptions:
		return differences(was, now, settingName)
	case PartBases:
		return e.bases(was, now)
	case PartContexts:
		return e.contexts(was, now)
	case PartContext:
		return e.context()
	}
	return nil
}

// changedLines names the lines of the new text that are not those of the old one.
func changedLines(was, now []detail) string {
	first := 0
	for first < min(len(was), len(now)) && was[first] == now[first] {
		first++
	}
	end := 0
	for end < min(len(was), len(now))-first && was[len(was)-1-end] == now[len(now)-1-end] {
		end++
	}
	last := len(now) - end
	if last <= first+1 { // one line, or some that are gone
		return fmt.Sprintf("line %d", first+1)
	}
	return fmt.Sprintf("lines %d-%d", first+1, last)
}

func oneValue(what string, was, now []detail) []string {
	if len(was) != 1 || len(now) != 1 {
		return nil
	}
	from, to := was[0].value, now[0].value
	switch {
	case from == to:
		return nil
	case from == "":
		return []string{fmt.Sprintf("%s changed to %s", what, to)}
	case to == "":
		return []string{fmt.Sprintf("%s %s is no longer set", what, from)}
	}
	return []string{fmt.Sprintf("%s changed from %s to %s", what, from, to)}
}

// differences compares lists of names that have values or digests of them. word makes a text of a name.
func differences(was, now []detail, word func(name string) string) []string {
	var reasons []string
	eachPair(was, now, func(old, new *detail) {
		switch {
		case old == nil:
			reasons = append(reasons, word(new.name)+" is new")
		case new == nil:
			reasons = append(reasons, word(old.name)+" is gone")
		case old.value != new.value:
			reasons = append(reasons, word(new.name)+" changed")
		}
	})
	return reasons
}

// eachPair calls do for each name of two lists: those of the new one in their order, then those that
// are gone. Either may be nil.
func eachPair(was, now []detail, do func(old, new *detail)) {
	old := make(map[string]*detail, len(was))
	for i := range was {
		old[was[i].name] = &was[i]
	}
	for i := range now {
		do(old[now[i].name], &now[i])
		delete(old, now[i].name)
	}
	for i := range was {
		if d := old[was[i].name]; d != nil {
			do(d, nil)
		}
	}
}

// settingName is a setting in the words of messages.
func settingName(name string) string {
	kind, own, _ := strings.Cut(name, " ")
	if word, ok := map[string]string{
		"arg": "build argument", "epoch": "SOURCE_DATE_EPOCH", "ssh": "SSH agent", "sbom": "SBOM", "shm": "size of /dev/shm", "cgroup": "control group",
	}[kind]; ok {
		kind = word
	}
	return strings.TrimSpace(kind + " " + own)
}

func (e *explainer) bases(was, now []detail) []string {
	word := func(name string) string {
		kind, ref, _ := strings.Cut(name, " ")
		return map[string]string{PinImage: "base image", PinHTTP: "file", PinGit: "repository"}[kind] + " " + ref
	}
	var reasons []string
	eachPair(was, now, func(old, new *detail) {
		if old != nil && new != nil && old.value != "" && new.value != "" {
			if old.value != new.value {
				reasons = append(reasons, fmt.Sprintf("%s moved from %s to %s", word(new.name), short(old.value), short(new.value)))
			}
			return
		}
		var a, b []detail
		if old != nil {
			a = []detail{*old}
		}
		if new != nil {
			b = []detail{*new}
		}
		reasons = append(reasons, differences(a, b, word)...)
	})
	return reasons
}

// short is the beginning of a digest or commit.
func short(digest string) string {
	const digits = 12
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok {
		algorithm, hex = "", digest
	} else {
		algorithm += ":"
	}
	if len(hex) <= digits {
		return digest
	}
	return algorithm + hex[:digits] + "…"
}

func (e *explainer) contexts(was, now []detail) []string {
	reasons := differences(was, now, func(name string) string { return "named context " + name })
	for _, d := range now {
		if was, now, ok := e.known(listContext + d.name); ok {
			for _, r := range files(was, now, ".", "") {
				reasons = append(reasons, "named context "+d.name+": "+r)
			}
		}
	}
	return reasons
}

func (e *explainer) context() []string {
	was, now, _ := e.known(PartContext)
	// The Dockerfile, which most contexts hold, need not be told of twice.
	told := ""
	if _, _, ok := e.known(PartDockerfile); ok && e.was.Parts[PartDockerfile] != e.now.Parts[PartDockerfile] {
		told = e.now.dockerfile
	}
	reasons := files(was, now, e.now.context, told)
	if ignore := e.ignore(); ignore != "" && !slices.Contains(reasons, ignore) {
		reasons = slices.Insert(reasons, 0, ignore)
	}
	if len(reasons) == 0 && told != "" {
		return []string{} // the Dockerfile is all that changed
	}
	return reasons
}

// ignore says what became of the .dockerignore that counts.
func (e *explainer) ignore() string {
	was, now, ok := e.known(listIgnore)
	switch {
	case !ok || slices.Equal(was, now):
		return ""
	case len(now) == 0:
		return was[0].name + " is gone"
	case len(was) == 0 || was[0].name != now[0].name:
		return now[0].name + " is new"
	}
	return now[0].name + " changed"
}

// files compares what is in a folder, by path. Of a folder that is new or gone its content isn't told.
func files(was, now []detail, dir, told string) []string {
	type reason struct{ path, text string }
	var reasons []reason
	news, gone := "", ""
	eachPair(was, now, func(old, new *detail) {
		switch {
		case old == nil && (news == "" || !strings.HasPrefix(new.name, news)):
			reasons = append(reasons, reason{new.name, "is new"})
			if new.value == kindFolder {
				news = new.name + "/"
			}
		case new == nil && (gone == "" || !strings.HasPrefix(old.name, gone)):
			reasons = append(reasons, reason{old.name, "is gone"})
			if old.value == kindFolder {
				gone = old.name + "/"
			}
		case old != nil && new != nil && old.value != new.value:
			reasons = append(reasons, reason{new.name, change(old.value, new.value)})
		}
	})
	slices.SortStableFunc(reasons, func(a, b reason) int { return comparePaths(a.path, b.path) })
	var texts []string
	for _, r := range reasons {
		if name := path.Join(dir, r.path); name != told || r.text != "changed" {
			texts = append(texts, name+" "+r.text)
		}
	}
	return texts
}

// change says what became of an entry of a folder.
func change(was, now string) string {
	if was[0] != now[0] {
		return "became " + map[byte]string{kindFolder[0]: "a folder", kindLink[0]: "a link", kindFile[0]: "a file"}[now[0]]
	}
	if from, ok := strings.CutPrefix(was, kindLink); ok {
		return fmt.Sprintf("points to %s instead of %s", strings.TrimPrefix(now, kindLink), from)
	}
	oldMode, oldSum, _ := strings.Cut(strings.TrimPrefix(was, kindFile), " ")
	newMode, newSum, _ := strings.Cut(strings.TrimPrefix(now, kindFile), " ")
	switch {
	case oldSum != newSum || oldMode == newMode:
		return "changed"
	case newMode == fmt.Sprintf("%o", modeExecutable):
		return "became executable"
	}
	return "is no longer executable"
}
