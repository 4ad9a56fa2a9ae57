package hg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"strake.dev/strake/internal/child"
	"strake.dev/strake/internal/git"
	"strake.dev/strake/stages"
)

// maxSaid is the size in bytes of what is kept of hg's messages.
const maxSaid = 8 << 10

// environment is what hg runs with: base, cleaned, and our configuration.
func (r *Repository) environment(base []string) ([]string, error) {
	env := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "HG") && name != "HGRCPATH" || strings.HasPrefix(name, "CHG")
	})
	env = append(env, "HGPLAIN=1", "HGRCSKIPREPO=1", "HGENCODING=UTF-8", "LC_ALL=C.UTF-8", "LANGUAGE=", "SSH_ASKPASS_REQUIRE=never")
	if r.auth.Username == "" && r.auth.Password == "" && len(r.auth.PrivateKey) == 0 && len(r.auth.KnownHosts) == 0 {
		return env, nil
	}
	text, err := r.hgrc()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.temp, "hgrc")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return append(env, "HGRCPATH="+file), nil
}

// hgrc is a configuration with the credentials.
func (r *Repository) hgrc() (string, error) {
	var b strings.Builder
	if r.auth.Username != "" || r.auth.Password != "" {
		u, err := url.Parse(r.url)
		if err != nil {
			return "", fmt.Errorf("%s is not a valid URL", git.Redacted(r.url))
		}
		for _, value := range []string{r.auth.Username, r.auth.Password} {
			if strings.ContainsAny(value, "\r\n") || strings.TrimSpace(value) != value {
				return "", errors.New("a username or password that begins or ends with a space, or has a line end, can't be given to hg")
			}
		}
		fmt.Fprintf(&b, "[auth]\nstrake.schemes = https\nstrake.prefix = %s\nstrake.username = %s\nstrake.password = %s\n", u.Host, r.auth.Username, r.auth.Password)
	}
	if len(r.auth.PrivateKey) > 0 || len(r.auth.KnownHosts) > 0 {
		command, err := r.auth.SSHCommand(r.temp)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "[ui]\nssh = %s\n", command)
	}
	return b.String(), nil
}

// settings override the user's configuration where it would run something, or have hg fetch from elsewhere.
func (r *Repository) settings() []string {
	settings := []string{
		"ui.interactive=false", "ui.clonebundles=false", "ui.merge=internal:fail", "ui.timeout=60", "subrepos.allowed=false", "http.timeout=120",
		"extensions.fsmonitor=!", "progress.disable=true",
	}
	if r.evolve {
		settings = append(settings, "extensions.evolve=", "extensions.topic=")
	}
	args := make([]string, len(settings))
	for i, s := range settings {
		args[i] = "--config=" + s
	}
	return args
}

// run runs hg in a folder and returns its standard output. The error holds hg's own last words.
func (r *Repository) run(ctx context.Context, dir, command string, args ...string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	all := append([]string{command}, r.settings()...)
	if r.auth.SkipTLSVerify && slices.Contains([]string{"identify", "pull"}, command) {
		all = append(all, "--insecure")
	}
	var out, said strings.Builder
	cmd := child.Command(ctx, "hg", append(all, args...)...)
	cmd.Dir, cmd.Env = dir, r.env
	cmd.Stdout, cmd.Stderr = &out, &limited{b: &said}
	err := child.Run(cmd)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("hg %s %s: %w", command, git.Redacted(r.url), ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return "", notInstalled()
	case err != nil:
		return "", r.failure(command, said.String(), err)
	}
	return out.String(), nil
}

// limited keeps the last bytes of what is written to it, more or less.
type limited struct{ b *strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len() > maxSaid {
		l.b.Reset()
	}
	return l.b.Write(p)
}

var (
	unknown = regexp.MustCompile(`(?i)unknown revision|unknown branch|hidden revision|ambiguous identifier|lookup failed|parse error`)
	advice  = []struct{ sign, hint string }{
		{"authorization failed", "the username and password were refused: correct the secret"},
		{"authorization required", "the repository wants to know who asks: give a secretRef with username and password"},
		{"certificate verify failed", "the server's certificate is not trusted: name its authority in SSL_CERT_FILE"},
		{"unable to verify security of", "the server's certificate is not trusted: name its authority in SSL_CERT_FILE"},
		{"subrepo", "fetch the subrepository by itself"},
		{"evolve", "install the extension evolve (Debian: mercurial-evolve)"},
		{"repository", "check the url, and the secret"},
	}
)

// failure is the error of an hg that failed, with advice where its words tell what is wrong.
func (r *Repository) failure(command, said string, err error) error {
	said = strings.Join(strings.Fields(strings.ReplaceAll(r.secrets.Replace(said), "abort: ", "")), " ")
	if said == "" {
		said = err.Error()
	}
	if unknown.MatchString(said) {
		return fmt.Errorf("hg %s %s: %s: %w", command, git.Redacted(r.url), said, ErrNoChangeset)
	}
	failed := fmt.Errorf("hg %s %s: %s", command, git.Redacted(r.url), said)
	for _, a := range advice {
		if strings.Contains(said, a.sign) {
			return stages.WithHint(failed, "%s", a.hint)
		}
	}
	return failed
}

// transient are hg's words for what may well work a moment later.
var transient = regexp.MustCompile(`(?i)connection reset|timed out|temporary failure|HTTP Error (429|500|502|503|504)|connection refused|` +
	`connection ended unexpectedly|unexpected response|no suitable response|remote end closed|stream ended unexpectedly|IncompleteRead|bad HTTP status|badstatusline`)

// remote runs an hg that talks to the remote, and repeats it if the network is to blame.
func (r *Repository) remote(ctx context.Context, command string, args ...string) (out string, err error) {
	err = git.Repeat(ctx, r.backoff, func(err error) bool {
		return transient.MatchString(err.Error()) && !strings.Contains(err.Error(), "Permission denied")
	}, func() error {
		out, err = r.run(ctx, r.temp, command, args...)
		return err
	})
	return out, err
}
