package ytt

import (
	"context"
	"errors"
	"fmt"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// lookup finds the Secrets and ConfigMaps of a step and remembers what is secret.
type lookup struct {
	objects stages.Objects
	app     stages.App
	secret  secrets
}

// A ref names a Secret or a ConfigMap, and the place that refers to it.
type ref struct {
	kind string
	name string
	node *schema.Node
}

const (
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
)

// data returns the data of what r names.
func (l *lookup) data(ctx context.Context, r ref) (map[string][]byte, error) {
	find := l.objects.Secret
	if r.kind == kindConfigMap {
		find = l.objects.ConfigMap
	}
	data, err := find(ctx, r.name)
	switch {
	case errors.Is(err, stages.ErrNoObject):
		err = fmt.Errorf("%s: %w", place(r.node), err)
		return nil, stages.WithHint(err, "add the %s to the App's file, or create it in the namespace %s", r.kind, l.app.Namespace)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", place(r.node), err)
	}
	if r.kind == kindSecret {
		for _, value := range data {
			l.secret.add(value)
		}
	}
	return data, nil
}

// place says where in the App's file something is referred to.
func place(n *schema.Node) string {
	if n.Path() == "" {
		return n.Pos().String()
	}
	return n.Pos().String() + ": " + n.Path()
}

func (s *ValuesSource) ref() (ref, bool) {
	switch {
	case s.SecretRef != nil:
		return ref{kindSecret, s.SecretRef.Name, s.node}, true
	case s.ConfigMapRef != nil:
		return ref{kindConfigMap, s.ConfigMapRef.Name, s.node}, true
	}
	return ref{}, false
}

func (s *InlineSource) ref() (ref, string) {
	if s.SecretRef != nil {
		return ref{kindSecret, s.SecretRef.Name, s.node}, s.SecretRef.DirectoryPath
	}
	return ref{kindConfigMap, s.ConfigMapRef.Name, s.node}, s.ConfigMapRef.DirectoryPath
}
