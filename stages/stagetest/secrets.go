package stagetest

import (
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// minSecret is the length from which on the value of a Secret is searched for; shorter ones occur
// in messages by chance.
const minSecret = 6

// publicKeys are keys of Secrets whose values are no secrets.
var publicKeys = []string{"username", "ssh-knownhosts", "ca.crt"}

// secretsOf lists what must not be seen: values of Secrets, and for those that are YAML
// the strings in them.
func secretsOf(o Objects) []string {
	seen := map[string]bool{}
	var secrets []string
	add := func(text string) {
		if text = strings.TrimSpace(text); len(text) >= minSecret && !seen[text] {
			seen[text] = true
			secrets = append(secrets, text)
		}
	}
	for _, data := range o.Secrets {
		for key, value := range data {
			if slices.Contains(publicKeys, key) {
				continue
			}
			add(value)
			var doc yaml.Node
			if yaml.Unmarshal([]byte(value), &doc) == nil {
				addScalars(&doc, add)
			}
		}
	}
	return secrets
}

// addScalars adds the values, not the keys, of all mappings and lists.
func addScalars(n *yaml.Node, add func(string)) {
	if n.Kind == yaml.ScalarNode {
		add(n.Value)
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			addScalars(c, add)
		}
	}
}

// noSecret reports any secret that is in the text, without repeating it.
func (s *scene) noSecret(what, text string) {
	s.t.Helper()
	for i, secret := range s.secrets {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s: holds a value of a Secret (number %d, of %d bytes)", what, i+1, len(secret))
		}
	}
}

// noSecretIn reports any secret in a value, which is looked at as JSON.
func (s *scene) noSecretIn(what string, v any) {
	s.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		s.t.Fatal(err)
	}
	s.noSecretInStrings(what, plain)
}

func (s *scene) noSecretInStrings(what string, v any) {
	s.t.Helper()
	switch v := v.(type) {
	case string:
		s.noSecret(what, v)
	case map[string]any:
		for _, e := range v {
			s.noSecretInStrings(what, e)
		}
	case []any:
		for _, e := range v {
			s.noSecretInStrings(what, e)
		}
	}
}
