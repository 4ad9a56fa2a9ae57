package schema

import (
	"encoding/base64"
	"maps"
)

// A Secret is a Kubernetes Secret that stands in the same file as the App which refers to it.
type Secret struct {
	APIVersion string            `json:"apiVersion" required:"true"`
	Kind       string            `json:"kind" required:"true"`
	Metadata   Metadata          `json:"metadata" required:"true"`
	Type       string            `json:"type,omitempty"`
	Immutable  *bool             `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	StringData map[string]string `json:"stringData,omitempty"`

	values map[string][]byte
}

// Validate decodes the base64 of data.
func (s *Secret) Validate(n *Node) error {
	var found Diagnostics
	s.values = map[string][]byte{}
	for _, p := range n.Get("data").Pairs() {
		b, err := base64.StdEncoding.DecodeString(p.Value.Text())
		if err != nil {
			d := p.Value.Errorf("value is not base64")
			d.Hint = "put plain text under stringData"
			found = append(found, d)
		}
		s.values[p.Key] = b
	}
	for k, v := range s.StringData {
		s.values[k] = []byte(v)
	}
	return found.Err()
}

// Values are the Secret's data, decoded; stringData wins over data, as in Kubernetes.
func (s *Secret) Values() map[string][]byte { return s.values }

// A ConfigMap is a Kubernetes ConfigMap that stands in the same file as the App which refers to it.
type ConfigMap struct {
	APIVersion string            `json:"apiVersion" required:"true"`
	Kind       string            `json:"kind" required:"true"`
	Metadata   Metadata          `json:"metadata" required:"true"`
	Immutable  *bool             `json:"immutable,omitempty"`
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string]string `json:"binaryData,omitempty"`

	values map[string][]byte
}

// Validate decodes the base64 of binaryData.
func (c *ConfigMap) Validate(n *Node) error {
	var found Diagnostics
	c.values = map[string][]byte{}
	for k, v := range maps.All(c.Data) {
		c.values[k] = []byte(v)
	}
	for _, p := range n.Get("binaryData").Pairs() {
		b, err := base64.StdEncoding.DecodeString(p.Value.Text())
		if err != nil {
			found = append(found, p.Value.Errorf("value is not base64"))
		}
		c.values[p.Key] = b
	}
	return found.Err()
}

// Values are the ConfigMap's data and binaryData.
func (c *ConfigMap) Values() map[string][]byte { return c.values }
