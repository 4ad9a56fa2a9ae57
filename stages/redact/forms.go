package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"strake.dev/strake/schema"
)

// All in bytes.
const (
	// minValue is the length of the shortest secret.
	minValue = 4
	// minLine is the length of the shortest line of a longer secret that counts as one.
	minLine = 12
	// minLeaf is the length of the shortest string in a secret of YAML that counts as one: shorter ones are
	// mostly names that appear everywhere.
	minLeaf = 8
	// minEncoded is the length of the shortest piece of an encoded secret.
	minEncoded = 6
)

// formsOf lists what a secret looks like where programs repeat it.
func formsOf(value []byte) []string {
	text := strings.TrimSpace(string(value))
	if len(text) < minValue {
		return nil
	}
	forms := append([]string{text}, encoded(text)...)
	if string(value) != text {
		forms = append(forms, encoded(string(value))...)
	}
	forms = append(forms, wrapped(string(value))...)
	// A key file may come out line by line.
	if lines := strings.Split(text, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= minLine {
				forms = append(forms, line)
			}
		}
	}
	for _, leaf := range leaves(value) {
		forms = append(forms, leaf)
		forms = append(forms, encoded(leaf)...)
	}
	return forms
}

// encoded lists the encodings of a text that don't leave it as it is.
func encoded(text string) []string {
	var forms []string
	add := func(form string, least int) {
		if form != text && len(form) >= least {
			forms = append(forms, form)
		}
	}
	for shift := range 3 {
		piece := base64Piece(text, shift)
		add(piece, minEncoded)
		add(strings.NewReplacer("+", "-", "/", "_").Replace(piece), minEncoded)
	}
	add(base64.StdEncoding.EncodeToString([]byte(text)), minEncoded)
	add(base64.URLEncoding.EncodeToString([]byte(text)), minEncoded)
	add(hex.EncodeToString([]byte(text)), minEncoded)
	add(strings.ToUpper(hex.EncodeToString([]byte(text))), minEncoded)
	add(url.QueryEscape(text), minValue)
	add(url.PathEscape(text), minValue)
	if quoted, err := json.Marshal(text); err == nil {
		add(strings.Trim(string(quoted), `"`), minValue)
	}
	quoted := strconv.Quote(text)
	add(quoted[1:len(quoted)-1], minValue)
	return forms
}

// base64Piece is what is always in the base64 of a text that is preceded by so many bytes, or three or six…
// more, and followed by anything: the characters that hold bits of the text alone.
func base64Piece(text string, before int) string {
	const bits = 6
	all := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", before) + text))
	first := (before*8 + bits - 1) / bits
	last := (before + len(text)) * 8 / bits
	return all[first:max(first, last)]
}

// wrapped lists the lines of a longer secret in base64 as programs break it: base64 at 76 characters,
// openssl and PEM at 64.
func wrapped(text string) []string {
	var lines []string
	all := base64.StdEncoding.EncodeToString([]byte(text))
	for _, width := range []int{64, 76} {
		if len(all) <= width {
			continue
		}
		for rest := all; rest != ""; {
			n := min(width, len(rest))
			if n >= minLine {
				lines = append(lines, rest[:n])
			}
			rest = rest[n:]
		}
	}
	return lines
}

// leaves lists the strings in a value that is itself YAML or JSON, such as data values or a docker config.
func leaves(value []byte) []string {
	docs, err := schema.Parse("", value)
	if err != nil {
		return nil
	}
	var found []string
	var walk func(n *schema.Node)
	walk = func(n *schema.Node) {
		if text := n.Text(); len(text) >= minLeaf {
			found = append(found, text)
		}
		for _, p := range n.Pairs() {
			walk(p.Value)
		}
		for _, item := range n.Items() {
			walk(item)
		}
	}
	for _, doc := range docs {
		walk(doc)
	}
	return found
}
