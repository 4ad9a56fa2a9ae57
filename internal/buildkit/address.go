package buildkit

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"strake.dev/strake/schema"
	"strake.dev/strake/stages"
)

// HostVariable is the environment variable that names the daemon.
const HostVariable = "BUILDKIT_HOST"

// schemes are the kinds of address, each with an example.
var schemes = map[string]string{
	"unix":             "unix:///run/buildkit/buildkitd.sock",
	"tcp":              "tcp://buildkit.example.com:1234",
	"docker-container": "docker-container://NAME",
	"podman-container": "podman-container://NAME",
	podScheme:          "kube-pod://POD?namespace=NAMESPACE",
	"ssh":              "ssh://USER@HOST",
}

var schemeNames = []string{"unix", "tcp", "docker-container", "podman-container", podScheme, "ssh"}

// CheckAddress tells whether an address has a form that [Client.Build] can dial. It asks nobody.
func CheckAddress(address string) error {
	scheme, rest, ok := strings.Cut(address, "://")
	example, known := schemes[scheme]
	if !ok || !known {
		err := fmt.Errorf("BuildKit address %q: expected it to begin with one of %s://", clean(address), strings.Join(schemeNames, "://, "))
		hint := schema.Suggest(scheme, schemeNames)
		if !ok {
			hint = "for example " + schemes["unix"]
		}
		return stages.WithHint(err, "%s", hint)
	}
	bad := func() error {
		return fmt.Errorf("BuildKit address %q: expected something like %s", clean(address), example)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || rest == "":
		return bad()
	case scheme == "unix":
		if u.Host+u.Path == "" {
			return bad()
		}
	case u.Host == "":
		return bad()
	case scheme == podScheme:
		_, err := parsePod(u)
		return err
	case scheme == "tcp":
		if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" {
			return bad()
		}
	}
	return nil
}

// ParseAddresses reads addresses that are separated by commas, as flags and BUILDKIT_HOST have them.
func ParseAddresses(list string) ([]string, error) {
	var addresses []string
	for address := range strings.SplitSeq(list, ",") {
		address = strings.TrimSpace(address)
		if err := CheckAddress(address); err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}

// clean removes a password from an address, for messages.
func clean(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		before, _, _ := strings.Cut(address, "://")
		return before + "://…"
	}
	return u.Redacted()
}
