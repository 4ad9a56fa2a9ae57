package git

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kept are the variables of git's own that users set for good reasons. All others are dropped: some
// would point git to another repository (strake may run from a hook), some would print secrets.
var kept = []string{
	"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_EXEC_PATH",
	"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT",
}

var keptPrefixes = []string{"GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_LFS_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"}

// silence is for how many seconds a server may send nothing before it is given up.
const silence = "120"

// settings override the user's configuration where it would change what is checked out, run
// something, or leave a process behind.
var settings = [][2]string{
	{"core.hooksPath", os.DevNull},
	{"core.attributesFile", os.DevNull},
	{"core.fsmonitor", "false"},
	{"core.autocrlf", "false"},
	{"core.eol", "lf"},
	{"core.symlinks", "true"},
	{"core.fileMode", "true"},
	{"core.protectHFS", "true"},
	{"core.protectNTFS", "true"},
	{"core.sparseCheckout", "false"},
	{"core.splitIndex", "false"},
	{"core.untrackedCache", "false"},
	{"fetch.unpackLimit", "1"},
	{"fetch.writeCommitGraph", "false"},
	{"fetch.prune", "false"},
	{"transfer.bundleURI", "false"},
	{"http.lowSpeedLimit", "1"},
	{"http.lowSpeedTime", silence},
	{"gc.auto", "0"},
	{"maintenance.auto", "false"},
	{"fetch.recurseSubmodules", "false"},
	{"submodule.recurse", "false"},
	{"log.showSignature", "false"},
	{"advice.detachedHead", "false"},
}

// The variables through which the credential helper below gets what it hands out.
const (
	usernameVar = "STRAKE_GIT_USERNAME"
	passwordVar = "STRAKE_GIT_PASSWORD"
)

// helperScript answers git's question for credentials from the environment, which unlike arguments
// no other user can read.
const helperScript = `!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$` + usernameVar + `" "$` + passwordVar + `"; }; f`

// environment is what git runs with: base, cleaned, and how to sign in.
func environment(base []string, address string, auth Auth, temp string) ([]string, error) {
	env := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		if name == usernameVar || name == passwordVar {
			return true
		}
		return strings.HasPrefix(name, "GIT_") && !slices.Contains(kept, name) &&
			!slices.ContainsFunc(keptPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	})
	env = append(env, "GIT_TERMINAL_PROMPT=0", "SSH_ASKPASS_REQUIRE=never", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", "LANGUAGE=")
	config := slices.Clone(settings)
	if auth.SkipTLSVerify {
		own, err := scope(address)
		if err != nil {
			return nil, err
		}
		config = append(config, [2]string{"http." + own + ".sslVerify", "false"})
	}
	if auth.basic() {
		own, err := scope(address)
		if err != nil {
			return nil, err
		}
		env = append(env, "GIT_ASKPASS=true", usernameVar+"="+auth.Username, passwordVar+"="+auth.Password)
		// The first entry drops the user's own helpers; ours answers for the repository's host only.
		config = append(config, [2]string{"credential.helper", ""}, [2]string{"credential." + own + ".helper", helperScript})
		if auth.ForceBasic {
			// git would send the header wherever a redirect leads.
			config = append(config, [2]string{"http." + own + ".extraHeader", "Authorization: Basic " + auth.encoded()},
				[2]string{"http." + own + ".followRedirects", "false"})
		}
	}
	if auth.ssh() {
		command, err := auth.SSHCommand(temp)
		if err != nil {
			return nil, err
		}
		env = append(env, "GIT_SSH_COMMAND="+command)
	}
	return withConfig(env, config), nil
}

// scope is the part of an address that credentials are for, in the form of git's URL matching.
func scope(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%s is not a valid URL", Redacted(address))
	}
	return u.Scheme + "://" + u.Host, nil
}

// withConfig adds settings to those that the environment may already have.
func withConfig(env []string, config [][2]string) []string {
	n := 0
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "GIT_CONFIG_COUNT="); ok {
			n, _ = strconv.Atoi(v)
		}
	}
	for _, kv := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, kv[1]))
		n++
	}
	return append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(n))
}

// sshSilence gives up a server that is silent: not that has nothing to send, but that doesn't answer at all.
var sshSilence = []string{"-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=4", "-o", "ConnectTimeout=30"}

// watchSSH has ssh give up a silent server also where the user's own configuration counts, unless the user has
// said how to run ssh.
func (r *Repository) watchSSH(ctx context.Context) {
	if r.watched || r.auth.ssh() || !strings.HasPrefix(origin(r.url), "ssh://") {
		return
	}
	r.watched = true
	own := slices.ContainsFunc(r.env, func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_SSH=") || strings.HasPrefix(kv, "GIT_SSH_COMMAND=")
	})
	if own {
		return
	}
	if out, err := r.run(ctx, "", nil, "config", "--get", "core.sshCommand"); err != nil && out == "" && ctx.Err() == nil {
		r.env = append(r.env, "GIT_SSH_COMMAND="+strings.Join(append([]string{"ssh"}, sshSilence...), " "))
	}
}

// SSHCommand is a command of the shell that makes ssh use the given key and host keys, and nothing of the user's
// own. It writes them to files in a folder.
func (a Auth) SSHCommand(temp string) (string, error) {
	command := append([]string{"ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "ForwardAgent=no"}, sshSilence...)
	file := func(name string, content []byte) (string, error) {
		path := filepath.Join(temp, name)
		// ssh wants a newline at the end of a key.
		return path, os.WriteFile(path, append(slices.Clone(content), '\n'), 0o600)
	}
	if len(a.PrivateKey) > 0 {
		path, err := file("private-key", a.PrivateKey)
		if err != nil {
			return "", err
		}
		command = append(command, "-i", path, "-o", "IdentitiesOnly=yes")
	}
	if len(a.KnownHosts) > 0 {
		path, err := file("known-hosts", a.KnownHosts)
		if err != nil {
			return "", err
		}
		command = append(command, "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "UserKnownHostsFile="+path)
	} else {
		command = append(command, "-o", "StrictHostKeyChecking=accept-new")
	}
	for i, word := range command {
		command[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(command, " "), nil
}

func (a Auth) encoded() string {
	return base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password))
}

// redactor replaces the secrets of a text.
func (a Auth) redactor() *strings.Replacer {
	var pairs []string
	for _, s := range []string{a.Password, url.QueryEscape(a.Password), url.PathEscape(a.Password)} {
		if s != "" {
			pairs = append(pairs, s, "***")
		}
	}
	if a.basic() {
		pairs = append(pairs, a.encoded(), "***")
	}
	return strings.NewReplacer(pairs...)
}
