package git

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// transports are the ones that git may use, in an address or for a submodule.
var transports = []string{"file", "git", "http", "https", "ssh"}

// transports are those that git may use for the repository.
func (r *Repository) transports() []string {
	if r.submodule {
		return transports[1:]
	}
	return transports
}

var (
	scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	// helper is git's way to name a program as transport, such as ext::.
	helper = regexp.MustCompile(`^[A-Za-z0-9+.-]*::`)
	scp    = regexp.MustCompile(`^([^/:@]+@)?([^/:@]+|\[[^\]/]+\]):`)
)

// CheckURL tells what is wrong with a repository's address before it is used: only URLs of known
// transports, ssh addresses in the form user@host:path, and absolute paths are accepted.
func CheckURL(address string) error {
	switch {
	case address == "":
		return errors.New("is empty")
	case strings.HasPrefix(address, "-"):
		return errors.New("begins with “-”, as options of git do")
	case strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("has a control character")
	case helper.MatchString(address):
		return errors.New("names a program as transport (“::”), which could run anything")
	}
	if m := scheme.FindStringSubmatch(address); m != nil {
		return checkSchemed(address, strings.ToLower(m[1]))
	}
	if filepath.IsAbs(address) {
		return nil
	}
	if m := scp.FindStringSubmatch(address); m != nil {
		if strings.HasPrefix(m[1], "-") || strings.HasPrefix(m[2], "-") || strings.HasPrefix(address[len(m[0]):], "-") {
			return errors.New("has a part that begins with “-”, as options of ssh do")
		}
		return nil
	}
	return errors.New("is neither a URL, nor user@host:path, nor an absolute path")
}

func checkSchemed(address, name string) error {
	if !slices.Contains(transports, name) {
		return fmt.Errorf("has the scheme %q, expected one of %s", name, strings.Join(transports, ", "))
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("is not a valid URL")
	case u.Host == "" && name != "file":
		return errors.New("names no host")
	case strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-"):
		return errors.New("has a part that begins with “-”, as options of ssh do")
	}
	return nil
}

// Redacted gives an address without credentials.
func Redacted(address string) string {
	if !scheme.MatchString(address) {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return "the repository"
	}
	if u.Scheme == "ssh" && u.User != nil {
		u.User = url.User(u.User.Username()) // an ssh user is part of the address
	} else {
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// moveCredentials takes the password out of an address, where other users of the machine would see
// it among the arguments. Credentials that are given apart win.
func moveCredentials(address string, auth Auth) (string, Auth) {
	u, err := url.Parse(address)
	if err != nil || !scheme.MatchString(address) || u.User == nil {
		return address, auth
	}
	password, ok := u.User.Password()
	if u.Scheme != "http" && u.Scheme != "https" {
		if ok {
			u.User = url.User(u.User.Username())
			return u.String(), auth
		}
		return address, auth
	}
	if auth.empty() {
		auth.Username, auth.Password = u.User.Username(), password
	}
	u.User = nil
	return u.String(), auth
}
