package sync

import (
	"context"
	"fmt"

	vendirconf "carvel.dev/vendir/pkg/vendir/config"

	"strake.dev/strake/stages"
)

// Objects finds the Secrets and ConfigMaps that stand beside a configuration, and then those that next finds,
// which may be nil.
func Objects(secrets []vendirconf.Secret, configMaps []vendirconf.ConfigMap, next stages.Objects) stages.Objects {
	o := &objects{secrets: map[string]map[string][]byte{}, configMaps: map[string]map[string][]byte{}, next: next}
	for _, s := range secrets {
		o.secrets[s.Metadata.Name] = s.Data
	}
	for _, c := range configMaps {
		data := map[string][]byte{}
		for key, value := range c.Data {
			data[key] = []byte(value)
		}
		o.configMaps[c.Metadata.Name] = data
	}
	return o
}

type objects struct {
	secrets, configMaps map[string]map[string][]byte
	next                stages.Objects
}

func (o *objects) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	if data, ok := o.secrets[name]; ok {
		return data, nil
	}
	if o.next == nil {
		return nil, fmt.Errorf("the configuration has none of that name: %w", stages.ErrNoObject)
	}
	return o.next.Secret(ctx, name)
}

func (o *objects) ConfigMap(ctx context.Context, name string) (map[string][]byte, error) {
	if data, ok := o.configMaps[name]; ok {
		return data, nil
	}
	if o.next == nil {
		return nil, fmt.Errorf("the configuration has none of that name: %w", stages.ErrNoObject)
	}
	return o.next.ConfigMap(ctx, name)
}
