// Package redact keeps secrets out of texts that people and machines read: progress, errors, reports.
//
// What is known to be secret is removed in every form in which programs commonly repeat it: as it is,
// encoded, line by line, and cut in two by the ends of lines. It is the last line of defence. What
// tells of something first of all leaves out what may be secret.
package redact

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Instead is what stands in texts in the place of a secret.
const Instead = "***"

// A Set is the secrets that are known so far. The zero value knows none, and removes only what is secret
// by its place: the user and password of URLs. It is safe for concurrent use.
type Set struct {
	mu sync.Mutex
	// values are all values as they are, forms those in all forms, the longest first.
	values, forms []string
	// replacer replaces the forms; nil if some were added since.
	replacer *strings.Replacer
}

// Add has a value removed from all texts from then on, and tells whether that is new. Values that are too
// short are left alone: they would be found in any text.
func (s *Set) Add(value []byte) bool {
	forms, text := formsOf(value), strings.TrimSpace(string(value))
	if len(forms) == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.values, text) {
		return false
	}
	s.values = append(s.values, text)
	all := slices.Concat(s.forms, forms) // others may read the old ones
	// The longest first, so that a secret which contains another one leaves no rest.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	s.forms, s.replacer = slices.Compact(all), nil
	return true
}

var (
	userAndPassword = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s:@"'<>]*:[^/\s@"'<>]+@`)
	// In web addresses a user without a password is a token; elsewhere, as in ssh://git@host, it is part of the
	// address.
	tokenAlone = regexp.MustCompile(`(https?://)[^/\s:@"'<>]+@`)
)

// replacing returns what replaces the forms that are known now.
func (s *Set) replacing() *strings.Replacer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replacer == nil {
		pairs := make([]string, 0, 2*len(s.forms))
		for _, form := range s.forms {
			pairs = append(pairs, form, Instead)
		}
		s.replacer = strings.NewReplacer(pairs...)
	}
	return s.replacer
}

// Clean returns the text without secrets.
func (s *Set) Clean(text string) string {
	if text == "" {
		return text
	}
	text = s.replacing().Replace(text)
	if strings.Contains(text, "://") {
		text = userAndPassword.ReplaceAllString(text, "${1}"+Instead+"@")
		text = tokenAlone.ReplaceAllString(text, "${1}"+Instead+"@")
	}
	return text
}
