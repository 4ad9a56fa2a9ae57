package buildkit

import (
	"strings"
	"testing"

	"strake.dev/strake/stages"
)

func TestCheckAddress(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///run/buildkit/buildkitd.sock":       "",
		"unix://relative.sock":                      "",
		"tcp://127.0.0.1:1234":                      "",
		"tcp://[::1]:1234":                          "",
		"docker-container://buildkitd":              "",
		"podman-container://buildkitd":              "",
		"kube-pod://buildkitd-0?namespace=builders": "",
		"ssh://me@host":                             "",

		"":                        "expected it to begin with one of unix://, tcp://",
		"127.0.0.1:1234":          "expected it to begin with",
		"unix://":                 "expected something like unix:///run",
		"tcp://host":              "expected something like tcp://",
		"tcp://:":                 "expected something like tcp://",
		"docker-container://":     "expected something like docker-container://NAME",
		"kube-pod://?namespace=x": "expected something like kube-pod://",
		"dockercontainer://x":     "expected it to begin with",
		"tcp://user:hunter2@%zz":  "expected something like",
		"http://user:hunter2@x:1": "expected it to begin with",
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
	if _, err := c("").Address(""); err == nil || !strings.Contains(stages.Hint(err), "--buildkit-addr") {
		t.Errorf("no address: %v (hint: %s)", err, stages.Hint(err))
	}
	env = "unix:///env"
	for _, want := range []struct{ app, flag, want string }{
		{"unix:///app", "unix:///flag", "unix:///app"},
		{"", "unix:///flag", "unix:///flag"},
		{"", "", "unix:///env"},
	} {
		if got, err := c(want.flag).Address(want.app); err != nil || got != want.want {
			t.Errorf("App %q, flag %q: %q, %v", want.app, want.flag, got, err)
		}
	}
	if err := c("nonsense").Check(); err == nil {
		t.Error("Check accepted a bad flag")
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
