package schema

import (
	"bytes"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML prints a Pipeline as a file that means the same.
func (p *Pipeline) YAML() ([]byte, error) {
	type step struct {
		Name    string     `yaml:"name"`
		Stage   string     `yaml:"stage"`
		Uses    string     `yaml:"uses"`
		With    *yaml.Node `yaml:"with,omitempty"`
		Timeout string     `yaml:"timeout,omitempty"`
	}
	type keyRef struct {
		Name string `yaml:"name"`
		Key  string `yaml:"key,omitempty"`
	}
	type cluster struct {
		Namespace           string  `yaml:"namespace,omitempty"`
		KubeconfigSecretRef *keyRef `yaml:"kubeconfigSecretRef,omitempty"`
	}
	var doc struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name        string            `yaml:"name"`
			Namespace   string            `yaml:"namespace,omitempty"`
			Labels      map[string]string `yaml:"labels,omitempty"`
			Annotations map[string]string `yaml:"annotations,omitempty"`
		} `yaml:"metadata"`
		Spec struct {
			ServiceAccountName string   `yaml:"serviceAccountName,omitempty"`
			Cluster            *cluster `yaml:"cluster,omitempty"`
			DefaultNamespace   string   `yaml:"defaultNamespace,omitempty"`
			Stages             []step   `yaml:"stages"`
		} `yaml:"spec"`
	}
	doc.APIVersion, doc.Kind = p.APIVersion, p.Kind
	doc.Metadata.Name, doc.Metadata.Namespace = p.Metadata.Name, p.Metadata.Namespace
	doc.Metadata.Labels, doc.Metadata.Annotations = p.Metadata.Labels, p.Metadata.Annotations
	doc.Spec.ServiceAccountName, doc.Spec.DefaultNamespace = p.Spec.ServiceAccountName, p.Spec.DefaultNamespace
	if c := p.Spec.Cluster; c != nil {
		doc.Spec.Cluster = &cluster{Namespace: c.Namespace}
		if ref := c.KubeconfigSecretRef; ref != nil {
			doc.Spec.Cluster.KubeconfigSecretRef = &keyRef{Name: ref.Name, Key: ref.Key}
		}
	}
	for _, s := range p.Spec.Stages {
		out := step{Name: s.Name, Stage: s.Stage, Uses: s.Uses}
		if s.With != nil {
			out.With = s.With.yaml
		}
		if s.Timeout > 0 {
			out.Timeout = s.Timeout.Round(time.Millisecond).String()
		}
		doc.Spec.Stages = append(doc.Spec.Stages, out)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}
