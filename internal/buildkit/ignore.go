package buildkit

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/moby/patternmatcher"

	"strake.dev/strake/stages/filesum"
)

// ignoreFilter leaves out what the patterns of a .dockerignore match. It decides as BuildKit's own
// filter does ([fsutil.NewFilterFS] with ExcludePatterns), which can look at one folder at a time only.
func ignoreFilter(patterns []string) (filesum.Filter, error) {
	first, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf(".dockerignore: %w", err)
	}
	if len(first.Patterns()) == 0 {
		return filesum.All, nil
	}
	// A matcher compiles its patterns as it goes, and serves one at a time.
	matchers := &sync.Pool{New: func() any {
		m, err := patternmatcher.New(patterns)
		if err != nil {
			panic(err) // they have been checked
		}
		return m
	}}
	matchers.Put(first)
	i := &ignorer{matchers: matchers, patterns: fixedParts(first)}
	return i.filter(false, patternmatcher.MatchInfo{}), nil
}

type ignorer struct {
	matchers *sync.Pool
	patterns []fixedPart
}

// A fixedPart is what a pattern says without special characters.
type fixedPart struct {
	// begin and end are what the paths that it matches begin and end with.
	begin, end string
	exception  bool
	// under is the path of an exception, with a separator at its end, as far as everything that it
	// matches is that or below it; empty if that can be anywhere.
	under string
}

const separator = string(filepath.Separator)

func fixedParts(m *patternmatcher.PatternMatcher) []fixedPart {
	special := "*[]?^"
	if separator != `\` {
		special += `\`
	}
	var parts []fixedPart
	for _, p := range m.Patterns() {
		text := p.String()
		part := fixedPart{begin: text, end: text, exception: p.Exclusion()}
		if i := strings.IndexAny(text, special); i >= 0 {
			part.begin, part.end = text[:i], text[strings.LastIndexAny(text, special)+1:]
			// What “\” stands before may have a meaning, and “**/” may stand for nothing.
			if _, size := utf8.DecodeRuneInString(part.end); strings.HasSuffix(text, `\`+part.end) {
				part.end = part.end[size:]
			}
			part.end = strings.TrimPrefix(part.end, separator)
		}
		under := strings.TrimSuffix(strings.TrimSuffix(text, separator+"**"), separator+"*")
		if !strings.ContainsAny(under, special) {
			part.under = under + separator
		}
		parts = append(parts, part)
	}
	return parts
}

// filter is the filter of a folder, given whether it is ignored and what its own path matches.
func (i *ignorer) filter(ignored bool, parent patternmatcher.MatchInfo) filesum.Filter {
	return func(name string, dir bool) (keep bool, below filesum.Filter, err error) {
		name = filepath.FromSlash(name)
		// What no pattern matches by itself fares as its folder does. To tell so beforehand is much faster.
		if !dir && !i.mayMatch(name) {
			return !ignored, nil, nil
		}
		m := i.matchers.Get().(*patternmatcher.PatternMatcher)
		ignored, info, err := m.MatchesUsingParentResults(name, parent)
		i.matchers.Put(m)
		if err != nil {
			return false, nil, fmt.Errorf(".dockerignore: %w", err)
		}
		if dir && (!ignored || i.mayHoldException(name)) {
			below = i.filter(ignored, info)
		}
		return !ignored, below, nil
	}
}

func (i *ignorer) mayMatch(name string) bool {
	return slices.ContainsFunc(i.patterns, func(p fixedPart) bool {
		return strings.HasSuffix(name, p.end) && strings.HasPrefix(name, p.begin)
	})
}

// mayHoldException tells whether an ignored folder has to be looked through. It is the library's
// judgement: it gives up on telling for all exceptions if it can't for one.
func (i *ignorer) mayHoldException(dir string) bool {
	found := false
	for _, p := range i.patterns {
		if p.exception && p.under == "" {
			return true
		}
		found = found || p.exception && strings.HasPrefix(p.under, dir+separator)
	}
	return found
}
