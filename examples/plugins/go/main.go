// Strake-plugin-upper is a plugin in Go: it writes the values of ConfigMaps in upper case.
package main

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"strake.dev/strake/stages/plugin"
)

func main() {
	plugin.Serve(plugin.Plugin{
		Name: "upper", Version: "v1.0.0", Template: upper,
		// What it does depends on nothing that strake doesn't count by itself.
		Key: func(context.Context, *plugin.Request) (plugin.Result, error) { return plugin.Result{Key: "v1"}, nil },
	})
}

func upper(_ context.Context, r *plugin.Request) (plugin.Result, error) {
	var config struct {
		Key string `json:"key"`
	}
	if err := r.Decode(&config); err != nil {
		return plugin.Result{}, err
	}
	if config.Key == "" {
		return plugin.Result{}, plugin.WithHint(errors.New("with.key: missing, but required"), "name a key of the manifests, as in “with: {key: motto}”")
	}
	manifests, err := r.ReadManifests()
	if err != nil {
		return plugin.Result{}, err
	}
	line, err := regexp.Compile(`(?m)^(\s*` + regexp.QuoteMeta(config.Key) + `: )(.*)$`)
	if err != nil {
		return plugin.Result{}, err
	}
	n := 0
	result := line.ReplaceAllStringFunc(string(manifests), func(text string) string {
		n++
		m := line.FindStringSubmatch(text)
		return m[1] + strings.ToUpper(m[2])
	})
	r.Log("%d values", n)
	return r.WriteManifests([]byte(result))
}
