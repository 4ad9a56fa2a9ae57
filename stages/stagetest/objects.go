package stagetest

import (
	"context"
	"fmt"
	"maps"

	"strake.dev/strake/stages"
)

// Objects are Secrets and ConfigMaps: values by key by name. It is a [stages.Objects].
type Objects struct {
	Secrets    map[string]map[string]string
	ConfigMaps map[string]map[string]string
}

// Secret returns the data of a Secret.
func (o Objects) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	return find(ctx, o.Secrets, "Secret", name)
}

// ConfigMap returns the data of a ConfigMap.
func (o Objects) ConfigMap(ctx context.Context, name string) (map[string][]byte, error) {
	return find(ctx, o.ConfigMaps, "ConfigMap", name)
}

func find(ctx context.Context, in map[string]map[string]string, kind, name string) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, ok := in[name]
	if !ok {
		return nil, fmt.Errorf("%s %q: %w", kind, name, stages.ErrNoObject)
	}
	values := make(map[string][]byte, len(data))
	for key, value := range data {
		values[key] = []byte(value)
	}
	return values, nil
}

func (o Objects) clone() Objects {
	deep := func(in map[string]map[string]string) map[string]map[string]string {
		out := map[string]map[string]string{}
		for name, data := range in {
			out[name] = maps.Clone(data)
		}
		return out
	}
	return Objects{Secrets: deep(o.Secrets), ConfigMaps: deep(o.ConfigMaps)}
}
