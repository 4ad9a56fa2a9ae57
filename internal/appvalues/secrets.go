package appvalues

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// masked stands where a secret was.
const masked = "***"

// minSecret is the length from which on a value is masked wherever it occurs. Shorter ones would be
// found in any text; they are masked where a tool quotes the line they stand in.
const minSecret = 4

// Secrets are texts that must not be in messages. Tools quote the lines of values files that they
// don't accept, and templates may put any value into the message of a failure.
type Secrets struct {
	lines  []string
	values []string
}

// Add takes the content of a Secret's key: as a whole, its lines, and if it is YAML the values in it.
func (s *Secrets) Add(content []byte) {
	s.addValue(string(content))
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			s.lines = append(s.lines, line)
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			break
		}
		s.addNode(&doc)
	}
	// The longest first, so that one which contains another leaves no rest.
	longest := func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) }
	slices.SortFunc(s.values, longest)
	slices.SortFunc(s.lines, longest)
	s.values, s.lines = slices.Compact(s.values), slices.Compact(s.lines)
}

func (s *Secrets) addValue(text string) {
	if text = strings.TrimSpace(text); len(text) >= minSecret && text != "true" && text != "false" && text != "null" {
		s.values = append(s.values, text)
	}
}

// addNode adds the values, not the keys, below a node.
func (s *Secrets) addNode(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		s.addValue(n.Value)
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			s.addNode(c)
		}
	}
}

// Clean returns the text without secrets.
func (s *Secrets) Clean(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = s.cleanQuote(line)
	}
	text = strings.Join(lines, "\n")
	for _, v := range s.values {
		text = strings.ReplaceAll(text, v, masked)
	}
	return text
}

// cleanQuote masks a line that a tool quotes, as in “ 3 | password: 1234”.
func (s *Secrets) cleanQuote(line string) string {
	before, quoted, isQuote := strings.Cut(line, "| ")
	if !isQuote {
		return line
	}
	for _, secret := range s.lines {
		if strings.Contains(quoted, secret) {
			quoted = strings.ReplaceAll(quoted, secret, masked)
		}
	}
	return before + "| " + quoted
}
