package buildkit

import (
	"slices"
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

func TestCheckAddress(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///run/buildkit/buildkitd.sock":             "",
		"unix://relative.sock":                            "",
		"tcp://127.0.0.1:1234":                            "",
		"tcp://[::1]:1234":                                "",
		"docker-container://buildkitd":                    "",
		"podman-container://buildkitd":                    "",
		"kube-pod://buildkitd-0?namespace=builders":       "",
		"ssh://me@host":                                   "",
		"kube-pod://b?context=me@c&container=c&port=1234": "",

		"":                         "expected it to begin with one of unix://, tcp://",
		"127.0.0.1:1234":           "expected it to begin with",
		"unix://":                  "expected something like unix:///run",
		"tcp://host":               "expected something like tcp://",
		"tcp://:":                  "expected something like tcp://",
		"docker-container://":      "expected something like docker-container://NAME",
		"kube-pod://?namespace=x":  "expected something like kube-pod://",
		"kube-pod://b?name=x":      `unknown parameter "name", expected one of container, context, namespace, port`,
		"kube-pod://b?port=http":   "port: expected a number from 1 to 65535",
		"kube-pod://b?port=70000":  "port: expected a number from 1 to 65535",
		"kube-pod://Bad_Name":      `"Bad_Name" is not the name of a pod`,
		"kube-pod://b?namespace=A": `"A" is not the name of a namespace`,
		"kube-pod://b/c":           "expected something like kube-pod://",
		"dockercontainer://x":      "expected it to begin with",
		"tcp://user:hunter2@%zz":   "expected something like",
		"http://user:hunter2@x:1":  "expected it to begin with",
	} {
		err := CheckAddress(address)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", address, err)
		}
	}
	if hint := stages.Hint(CheckAddress("dockercontainer://x")); hint != "did you mean docker-container?" {
		t.Errorf("hint: %q", hint)
	}
}

func TestAddressOrder(t *testing.T) {
	env := ""
	c := func(flag string) *Client {
		return New(ClientOptions{Address: flag, Getenv: func(string) string { return env }})
	}
	ask := func(c *Client, app ...string) ([]string, error) {
		daemons, err := c.Daemons(t.Context(), Choice{Addresses: app}, quiet{})
		var addresses []string
		for _, d := range daemons {
			addresses = append(addresses, d.Address)
		}
		return addresses, err
	}
	if _, err := ask(c("")); err == nil || !strings.Contains(stages.Hint(err), "--buildkit-addr") || !strings.Contains(err.Error(), "no Kubernetes cluster") {
		t.Errorf("no address: %v (hint: %s)", err, stages.Hint(err))
	}
	env = "unix:///env"
	for _, want := range []struct {
		app  []string
		flag string
		want []string
	}{
		{[]string{"unix:///app"}, "unix:///flag", []string{"unix:///app"}},
		{[]string{"unix:///a", "tcp://b:1", "unix:///a"}, "unix:///flag", []string{"unix:///a", "tcp://b:1"}},
		{nil, "unix:///flag", []string{"unix:///flag"}},
		{nil, "unix:///flag, tcp://x:1", []string{"unix:///flag", "tcp://x:1"}},
		{nil, "", []string{"unix:///env"}},
	} {
		if got, err := ask(c(want.flag), want.app...); err != nil || !slices.Equal(got, want.want) {
			t.Errorf("App %q, flag %q: %q, %v", want.app, want.flag, got, err)
		}
	}
	if _, err := ask(c(""), "unix:///a", "nonsense"); err == nil {
		t.Error("a bad address of the App was accepted")
	}
	for _, bad := range []string{"nonsense", "unix:///a,,unix:///b", "unix:///a,b"} {
		if err := c(bad).Check(); err == nil {
			t.Errorf("Check accepted %q as flag", bad)
		}
	}
	env = "nonsense"
	if err := c("").Check(); err == nil {
		t.Error("Check accepted a bad BUILDKIT_HOST or SOURCE_DATE_EPOCH")
	}
}

func TestEpoch(t *testing.T) {
	for env, want := range map[string]string{"": "", "0": "0", "1700000000": "1700000000", "-1": "", "yesterday": ""} {
		got, err := New(ClientOptions{Getenv: func(string) string { return env }}).Epoch()
		if got != want || (err == nil) != (want == env) {
			t.Errorf("%q: %q, %v", env, got, err)
		}
	}
}
