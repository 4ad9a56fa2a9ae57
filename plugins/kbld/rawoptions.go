package kbld

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// A rawOption says what becomes of an option of a command line. One that neither sets nor switches
// anything is accepted and means nothing here, unless hint is there: then it is refused.
type rawOption struct {
	// isSwitch tells that the option needs no value.
	isSwitch bool
	// set uses the value; for a switch that is true or false.
	set func(r *request, value string) error
	// hint says what to do instead of an option that is refused.
	hint string
}

// addRaw reads options as they would stand on the command line of docker build.
func (r *request) addRaw(args []string) error {
	for len(args) > 0 {
		name, value, given := strings.Cut(args[0], "=")
		args = args[1:]
		if !strings.HasPrefix(name, "--") && len(name) > 1 && name[0] == '-' {
			// One letter, with its value right after it or, for a switch, with further letters.
			long, ok := shortOptions[name[:2]]
			if !ok {
				return unknownRaw(name[:2])
			}
			rest := name[2:]
			switch {
			case rest == "":
			case rawOptions[long].isSwitch:
				more := "-" + rest
				if given {
					more += "=" + value
				}
				args, given = append([]string{more}, args...), false
			default:
				if given {
					rest += "=" + value
				}
				value, given = rest, true
			}
			name = long
		}
		known, ok := rawOptions[name]
		switch {
		case !ok:
			return unknownRaw(name)
		case given:
		case known.isSwitch:
			value = "true"
		case len(args) == 0:
			return fmt.Errorf("rawOptions: %s: its value is missing", name)
		default:
			value, args = args[0], args[1:]
		}
		if err := known.apply(r, name, value); err != nil {
			return err
		}
	}
	return nil
}

func (o rawOption) apply(r *request, name, value string) error {
	if o.isSwitch {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("rawOptions: %s: expected true or false, found %q", name, value)
		}
		if value = strconv.FormatBool(on); !on && o.hint != "" {
			return nil
		}
	}
	switch {
	case o.hint != "":
		return stages.WithHint(fmt.Errorf("rawOptions: %q is not supported", name), "%s", o.hint)
	case o.set == nil:
		return nil
	}
	if err := o.set(r, value); err != nil {
		wrapped := fmt.Errorf("rawOptions: %s: %w", name, err)
		if hint := stages.Hint(err); hint != "" {
			return stages.WithHint(wrapped, "%s", hint)
		}
		return wrapped
	}
	return nil
}

func unknownRaw(name string) error {
	return stages.WithHint(fmt.Errorf("rawOptions: %q is not supported", name), "%s", schema.Suggest(name, sortedKeys(rawOptions)))
}

// The functions here read the values that have a form of their own on the command line.

// rawArg reads NAME=VALUE, or NAME for a variable of the environment, which may be missing.
func rawArg(r *request, text string) error {
	key, value, given := strings.Cut(text, "=")
	if !given {
		if r.how.policy != nil {
			return refused("build argument "+key+" from the environment", "give its value: --build-arg=%s=VALUE", key)
		}
		if value, given = os.LookupEnv(key); !given && key != "" {
			return nil
		}
	}
	return r.addArg(key, value)
}

func rawLabel(r *request, text string) error {
	key, value, _ := strings.Cut(text, "=")
	return r.addLabel(key, value)
}

func rawAnnotation(r *request, text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("expected NAME=VALUE, found %q", text)
	}
	return r.addAnnotation(key, value)
}

func rawContext(r *request, text string) error {
	key, location, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("expected NAME=LOCATION, found %q", text)
	}
	return r.addContext(key, location)
}

// rawSecret reads id=ID with src=FILE or env=VARIABLE; without either, ID is the name of a variable if
// there is one of that name, else of a file. Relative paths count from the source's path.
func rawSecret(r *request, text string) error {
	attrs, err := attributes(text)
	if err != nil {
		return err
	}
	s := secret{ID: attrs["id"], Env: attrs["env"]}
	for _, key := range []string{"src", "source"} {
		if attrs[key] != "" {
			s.File = attrs[key]
		}
	}
	for _, key := range sortedKeys(attrs) {
		switch key {
		case "id", "env", "src", "source", "type":
		default:
			return stages.WithHint(fmt.Errorf("unknown attribute %q", key), "%s", schema.Suggest(key, []string{"id", "env", "src", "type"}))
		}
	}
	kind := attrs["type"]
	switch {
	case s.ID == "":
		return fmt.Errorf("expected id=NAME")
	case kind != "" && kind != "env" && kind != "file":
		return fmt.Errorf("type %q: expected env or file", kind)
	case s.Env != "" && s.File != "":
		return fmt.Errorf("expected only one of src and env")
	case kind == "env" && s.Env == "":
		s.Env, s.File = s.File, ""
	}
	if s.Env == "" && s.File == "" && r.how.policy == nil {
		if _, ok := os.LookupEnv(s.ID); ok && kind != "file" {
			s.Env = s.ID
		} else {
			s.File = s.ID
		}
	}
	if s.Env != "" {
		if err := checkVariable(s.Env); err != nil {
			return err
		}
	}
	if s.File, s.inSources, err = r.rawPath(s.File); err != nil {
		return err
	}
	return r.addSecret(s)
}

// rawSSH reads ID, or ID=PATH,PATH.
func rawSSH(r *request, text string) error {
	id, list, _ := strings.Cut(text, "=")
	k := sshKeys{ID: id}
	if id == "" {
		return fmt.Errorf("expected ID or ID=PATH, found %q", text)
	}
	inside := 0
	for p := range strings.SplitSeq(list, ",") {
		if p == "" {
			continue
		}
		p, inSources, err := r.rawPath(p)
		if err != nil {
			return err
		}
		if inSources {
			inside++
		}
		k.Paths = append(k.Paths, p)
	}
	k.inSources = inside > 0
	if k.inSources && inside < len(k.Paths) {
		return fmt.Errorf("expected either relative or absolute paths, found both")
	}
	return r.addSSH(k)
}

// rawPath reads the path of a file as docker would, which kbld calls in the source's folder: an absolute
// one is this machine's, a relative one is in the App's folder.
func (r *request) rawPath(name string) (clean string, inSources bool, err error) {
	if name == "" || strings.HasPrefix(name, "/") {
		return name, false, nil
	}
	clean, err = stages.Clean(r.dir + "/" + name)
	return clean, true, err
}

// rawKept makes sure that a path where something is to be kept is absolute: docker's relative one
// counts from the source's folder, which is a copy here and lasts for one run.
func rawKept(name, instead string) error {
	if name == "" || strings.HasPrefix(name, "/") {
		return nil
	}
	return stages.WithHint(fmt.Errorf("%s: expected an absolute path", name), "or, relative to the App's file, “buildkit: {%s}” of the source", instead)
}

func rawCacheFrom(r *request, text string) error {
	c, err := parseCache(text)
	if err != nil {
		return err
	}
	if c.Type == cacheLocal {
		if err := rawKept(c.Attrs["src"], "cacheFrom: …"); err != nil {
			return err
		}
	}
	return r.addCacheFrom(c)
}

func rawCacheTo(r *request, text string) error {
	c, err := parseCache(text)
	if err != nil {
		return err
	}
	if c.Type == cacheLocal {
		if err := rawKept(c.Attrs["dest"], "cacheTo: …"); err != nil {
			return err
		}
	}
	return r.addCacheTo(c)
}

// rawAttest reads type=provenance,mode=MODE and type=sbom,generator=IMAGE.
func rawAttest(r *request, text string) error {
	attrs, err := attributes(text)
	if err != nil {
		return err
	}
	kind, off := attrs["type"], attrs["disabled"]
	delete(attrs, "type")
	delete(attrs, "disabled")
	var value, key string
	switch kind {
	case "provenance":
		key = "mode"
	case "sbom":
		key = "generator"
	default:
		return fmt.Errorf("type %q: expected provenance or sbom", kind)
	}
	if value = attrs[key]; value == "" {
		value = "true"
	}
	if off != "" {
		disabled, err := strconv.ParseBool(off)
		if err != nil {
			return fmt.Errorf("disabled: expected true or false, found %q", off)
		}
		if disabled {
			value = "false"
		}
	}
	delete(attrs, key)
	for _, other := range sortedKeys(attrs) {
		return stages.WithHint(fmt.Errorf("type %s: attribute %q is not supported", kind, other), "expected only %s", key)
	}
	if kind == "provenance" {
		r.options.Provenance, err = provenanceLevel(value)
	} else {
		r.options.SBOM, err = sbomGenerator(value)
	}
	return err
}

// rawAttestOf reads the value of an option that stands for --attest=type=KIND.
func rawAttestOf(kind string) func(r *request, text string) error {
	return func(r *request, text string) error {
		if on, err := strconv.ParseBool(text); err == nil {
			text = "disabled=" + strconv.FormatBool(!on)
		}
		return rawAttest(r, "type="+kind+","+text)
	}
}

// rawOutput reads type=oci,dest=FILE, with tar=false for a folder. The outputs that mean pushing are what
// a destination does anyway.
func rawOutput(r *request, text string) error {
	attrs := map[string]string{"type": "local", "dest": text}
	if strings.Contains(text, "=") {
		var err error
		if attrs, err = attributes(text); err != nil {
			return err
		}
	}
	switch kind := attrs["type"]; {
	case kind == "registry", kind == "image":
		return nil
	case kind != "oci":
		return stages.WithHint(fmt.Errorf("type %q is not supported", kind), "expected oci, registry or image")
	}
	dest := attrs["dest"]
	if dest == "" || dest == "-" {
		return fmt.Errorf("type oci: expected dest=PATH")
	}
	if err := rawKept(dest, "output: …"); err != nil {
		return err
	}
	if attrs["tar"] == "false" {
		r.output.OCILayout = dest
	} else {
		r.output.Tar = dest
	}
	return nil
}

// eachOf reads a value that is a list with commas in between.
func eachOf(add func(r *request, text string) error) func(r *request, text string) error {
	return func(r *request, list string) error {
		for text := range strings.SplitSeq(list, ",") {
			if err := add(r, text); err != nil {
				return err
			}
		}
		return nil
	}
}
