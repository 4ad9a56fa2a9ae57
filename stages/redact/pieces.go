package redact

import "strings"

// minPiece is the length in bytes of the shortest piece of a secret that is removed where a line ends in it.
const minPiece = 8

// CleanLog is Clean for what programs print, whose lines may end within a secret: because a program
// breaks lines, or because a line was cut. Of secrets with 16 bytes or more it also removes what a
// line begins or ends with, or consists of, if that is at least 8 bytes and a quarter of the secret.
// Before “ | ” a line has the name of what printed it.
func (s *Set) CleanLog(text string) string { return s.cleanFrom(0, text) }

// CleanMessage is Clean for an error: what follows its first line is mostly what a program has printed, and
// cleaned as CleanLog does.
func (s *Set) CleanMessage(text string) string { return s.cleanFrom(1, text) }

func (s *Set) cleanFrom(first int, text string) string {
	lines := strings.Split(s.Clean(text), "\n")
	s.mu.Lock()
	forms := s.forms
	s.mu.Unlock()
	for i := first; i < len(lines); i++ {
		const sign = " | "
		head, body, named := strings.Cut(lines[i], sign)
		if named {
			lines[i] = head + sign + cleanEnds(forms, body)
		} else {
			lines[i] = cleanEnds(forms, head)
		}
	}
	return strings.Join(lines, "\n")
}

// cleanEnds removes pieces of secrets at the ends of a line, and beside what was removed already.
func cleanEnds(forms []string, line string) string {
	parts := strings.Split(line, Instead)
	for i, part := range parts {
		if text := strings.TrimSpace(part); len(text) >= minPiece {
			parts[i] = strings.Replace(part, text, cleanPart(forms, text), 1)
		}
	}
	return strings.Join(parts, Instead)
}

func cleanPart(forms []string, text string) string {
	for _, form := range forms {
		if len(form) < 2*minPiece {
			break // the longest come first
		}
		least := max(minPiece, len(form)/4)
		if strings.Contains(form, text) {
			return Instead
		}
		if n := overlap(text, form, least); n > 0 {
			return cleanEnds(forms, text[:len(text)-n]) + Instead
		}
		if n := overlap(form, text, least); n > 0 {
			return Instead + cleanEnds(forms, text[n:])
		}
	}
	return text
}

// overlap is the length of the longest text, of at least so many bytes, that a ends and b begins with.
func overlap(a, b string, least int) int {
	for n := min(len(a), len(b)); n >= least; n-- {
		if strings.HasSuffix(a, b[:n]) {
			return n
		}
	}
	return 0
}
