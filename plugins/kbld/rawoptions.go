package kbld

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// rawFlags are the options of “docker build” that mean something for a build here. Those with a
// value set it; the others are switches.
var rawFlags = map[string]struct {
	value func(r *request, v string) error
	flag  func(r *request, on bool)
}{
	"--build-arg": {value: func(r *request, v string) error { return addPair(&r.options.Args, "--build-arg", v) }},
	"--label":     {value: func(r *request, v string) error { return addPair(&r.options.Labels, "--label", v) }},
	"--target":    {value: func(r *request, v string) error { r.options.Target = v; return nil }},
	"--file":      {value: func(r *request, v string) error { r.dockerfile = v; return nil }},
	"--platform": {value: func(r *request, v string) error {
		r.options.Platforms = append(r.options.Platforms, strings.Split(v, ",")...)
		return nil
	}},
	"--no-cache": {flag: func(r *request, on bool) { r.options.NoCache = on }},
	"--pull":     {flag: func(r *request, on bool) { r.options.Pull = on }},
}

// addRaw reads options as they would stand on the command line of docker build.
func (r *request) addRaw(args []string) error {
	for len(args) > 0 {
		name, value, given := strings.Cut(args[0], "=")
		if rest, ok := strings.CutPrefix(args[0], "-f"); ok {
			name, value, given = "--file", strings.TrimPrefix(rest, "="), rest != ""
		}
		args = args[1:]
		known, ok := rawFlags[name]
		switch {
		case !ok:
			return unknownRaw(name)
		case known.flag != nil:
			on := true
			if given {
				var err error
				if on, err = strconv.ParseBool(value); err != nil {
					return fmt.Errorf("rawOptions: %s: expected true or false, found %q", name, value)
				}
			}
			known.flag(r, on)
			continue
		case !given && len(args) == 0:
			return fmt.Errorf("rawOptions: %s: its value is missing", name)
		case !given:
			value, args = args[0], args[1:]
		}
		if err := known.value(r, value); err != nil {
			return err
		}
	}
	return nil
}

func addPair(pairs *map[string]string, flag, text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("rawOptions: %s: expected NAME=VALUE, found %q", flag, text)
	}
	if *pairs == nil {
		*pairs = map[string]string{}
	}
	(*pairs)[key] = value
	return nil
}

func unknownRaw(name string) error {
	known := slices.Sorted(maps.Keys(rawFlags))
	return stages.WithHint(fmt.Errorf("rawOptions: %q is not supported", name), "%s", schema.Suggest(name, known))
}
