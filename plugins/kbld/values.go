package kbld

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	units "github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/name"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// The methods here put one value into a request, once it is checked. The options of all builders go
// through them, so that a value means the same in each.

func (r *request) setDockerfile(file string) error {
	if file == "" {
		return nil
	}
	var clean string
	var err error
	if r.remote != "" {
		clean, err = stages.Clean(file)
	} else {
		clean, err = r.below(file)
	}
	if err != nil {
		return err
	}
	r.dockerfile = clean
	return nil
}

func (r *request) addArg(key, value string) error { return addTo(&r.options.Args, key, value) }

func (r *request) addLabel(key, value string) error { return addTo(&r.options.Labels, key, value) }

func addTo(pairs *map[string]string, key, value string) error {
	if key == "" {
		return errors.New("has no name")
	}
	if *pairs == nil {
		*pairs = map[string]string{}
	}
	(*pairs)[key] = value
	return nil
}

// Where an annotation may go, in docker's words.
const (
	onManifest = "manifest"
	onIndex    = "index"
)

// addAnnotation reads docker's form of a key: places with commas in between, a colon, the key.
func (r *request) addAnnotation(key, value string) error {
	places, rest, given := strings.Cut(key, ":")
	if !given {
		return addTo(&r.options.Annotations, key, value)
	}
	for place := range strings.SplitSeq(places, ",") {
		target := rest
		switch place {
		case onManifest:
		case onIndex:
			target = onIndex + ":" + rest
		default:
			return stages.WithHint(fmt.Errorf("annotation %q: %q is not supported before the colon", key, place),
				"expected %s or %s", onManifest, onIndex)
		}
		if rest == "" {
			return errors.New("has no name")
		}
		if err := addTo(&r.options.Annotations, target, value); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) addPlatforms(list string) error {
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if err := r.addPlatform(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) addPlatform(text string) error {
	p, err := platforms.Parse(strings.TrimSpace(text))
	if err != nil || !strings.Contains(text, "/") {
		return fmt.Errorf("platform %q: expected the form linux/amd64", text)
	}
	normal := platforms.Format(platforms.Normalize(p))
	if slices.Contains(r.options.Platforms, normal) {
		return fmt.Errorf("platform %q is given twice", text)
	}
	r.options.Platforms = append(r.options.Platforms, normal)
	return nil
}

// The schemes of contexts that aren't folders or URLs.
const (
	imageScheme  = "docker-image://"
	layoutScheme = "oci-layout://"
)

// urlSchemes are those that BuildKit fetches by itself.
var urlSchemes = []string{"https", "http", "git", "ssh"}

func (r *request) addContext(key, location string) error {
	named, err := reference.ParseNormalizedNamed(key)
	if err != nil {
		return fmt.Errorf("context %q: expected a name in lower case, such as base or alpine:3", key)
	}
	// As the Dockerfile frontend looks it up.
	key = strings.TrimSuffix(reference.FamiliarString(named), ":latest")
	if _, ok := r.options.Contexts[key]; ok {
		return fmt.Errorf("context %s is given twice", key)
	}
	c, err := r.context(location)
	if err != nil {
		return fmt.Errorf("context %s: %w", key, err)
	}
	if r.options.Contexts == nil {
		r.options.Contexts = map[string]buildkit.Context{}
	}
	r.options.Contexts[key] = c
	return nil
}

func (r *request) context(location string) (buildkit.Context, error) {
	scheme, _, isURL := strings.Cut(location, "://")
	switch {
	case location == "":
		return buildkit.Context{}, errors.New("is empty")
	case strings.HasPrefix(location, imageScheme):
		if _, err := name.ParseReference(strings.TrimPrefix(location, imageScheme)); err != nil {
			return buildkit.Context{}, fmt.Errorf("%s: expected %s and the reference of an image", location, imageScheme)
		}
		return buildkit.Context{URL: location}, nil
	case strings.HasPrefix(location, layoutScheme):
		return r.layout(location)
	case strings.HasPrefix(location, "git@"), isURL && slices.Contains(urlSchemes, scheme):
		return buildkit.Context{URL: location}, nil
	case isURL:
		return buildkit.Context{}, stages.WithHint(fmt.Errorf("%s: the scheme %s is not supported", location, scheme),
			"%s", schema.Suggest(scheme, append([]string{"docker-image", "oci-layout"}, urlSchemes...)))
	}
	folder, err := r.below(location)
	return buildkit.Context{Folder: folder}, err
}

var layoutRef = regexp.MustCompile(`^(.+?)(@sha256:[0-9a-f]{64}|:[\w][\w.-]{0,127})$`)

func (r *request) layout(location string) (buildkit.Context, error) {
	m := layoutRef.FindStringSubmatch(strings.TrimPrefix(location, layoutScheme))
	if m == nil {
		return buildkit.Context{}, fmt.Errorf("%s: expected %sFOLDER@sha256:DIGEST or %[2]sFOLDER:TAG", location, layoutScheme)
	}
	folder, err := r.below(m[1])
	return buildkit.Context{Layout: folder + m[2]}, err
}

func (r *request) addNoCacheFilter(stage string) error {
	if stage == "" {
		return errors.New("is empty: expected the name of a stage")
	}
	r.options.NoCacheFilter = append(r.options.NoCacheFilter, stage)
	return nil
}

var networks = []string{"default", "none", "host"}

// setNetwork reads a mode. The host's network is an entitlement too, which Docker grants unasked.
func (r *request) setNetwork(mode string) error {
	if !slices.Contains(networks, mode) {
		return stages.WithHint(fmt.Errorf("network %q is not supported", mode), "%s", schema.Suggest(mode, networks))
	}
	r.options.Network = mode
	if mode == "host" && !slices.Contains(r.options.Entitlements, networkHost) {
		return r.addEntitlement(networkHost)
	}
	return nil
}

const networkHost = "network.host"

var entitlements = []string{networkHost, "security.insecure"}

func (r *request) addEntitlement(text string) error {
	if !slices.Contains(entitlements, text) {
		return stages.WithHint(fmt.Errorf("entitlement %q is not supported", text), "%s", schema.Suggest(text, entitlements))
	}
	if !slices.Contains(r.options.Entitlements, text) {
		r.options.Entitlements = append(r.options.Entitlements, text)
	}
	return nil
}

// addHost reads NAME=IP, and docker's older NAME:IP.
func (r *request) addHost(text string) error {
	host, ip, ok := strings.Cut(text, "=")
	if !ok {
		host, ip, ok = strings.Cut(text, ":")
	}
	addr, err := netip.ParseAddr(strings.Trim(ip, "[]"))
	if !ok || host == "" || err != nil {
		return fmt.Errorf("host %q: expected the form NAME=IP", text)
	}
	r.options.Hosts = append(r.options.Hosts, host+"="+addr.String())
	return nil
}

func (r *request) setShmSize(text string) error {
	size, err := units.RAMInBytes(text)
	if err != nil || size <= 0 {
		return fmt.Errorf("size %q: expected a number of bytes with a unit, such as 64m", text)
	}
	r.options.ShmSize = size
	return nil
}

func (r *request) addUlimit(text string) error {
	limit, err := units.ParseUlimit(text)
	if err != nil {
		return fmt.Errorf("ulimit %q: expected the form NAME=SOFT[:HARD], such as nofile=1024:4096: %w", text, err)
	}
	r.options.Ulimits = append(r.options.Ulimits, limit.String())
	return nil
}

func (r *request) setCgroupParent(text string) error {
	if text == "" {
		return errors.New("is empty: expected the name of a control group")
	}
	r.options.CgroupParent = text
	return nil
}

func (r *request) addSecret(s secret) error {
	if slices.ContainsFunc(r.secrets, func(other secret) bool { return other.ID == s.ID }) {
		return fmt.Errorf("secret %s is given twice", s.ID)
	}
	r.secrets = append(r.secrets, s)
	return nil
}

func (r *request) addSSH(k sshKeys) error {
	if slices.ContainsFunc(r.ssh, func(other sshKeys) bool { return other.ID == k.ID }) {
		return fmt.Errorf("ssh %s is given twice", k.ID)
	}
	r.ssh = append(r.ssh, k)
	return nil
}

// sortedKeys lists the keys of a mapping for messages.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
