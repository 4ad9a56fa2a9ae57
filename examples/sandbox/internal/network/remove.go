package network

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// removeRules removes every rule with the network's comment, and what the portmap plugin of CNI has
// left for pods that were killed. The plugin's chains that all networks of a machine share stay.
func (n *Network) removeRules(ctx context.Context) error {
	var errs []error
	for _, table := range []string{"nat", "filter"} {
		list, err := exec.CommandContext(ctx, "iptables", "-w", "-t", table, "-S").Output()
		if err != nil {
			return fmt.Errorf("list packet filter rules: %w", err)
		}
		for line := range strings.Lines(string(list)) {
			words := split(line)
			if len(words) < 3 || words[0] != "-A" || !n.marks(words) {
				continue
			}
			words[0] = "-D"
			errs = append(errs, iptables(ctx, table, words...))
			if chain := target(words); strings.HasPrefix(chain, podChain) {
				errs = append(errs, iptables(ctx, table, "-F", chain), iptables(ctx, table, "-X", chain))
			}
		}
	}
	return errors.Join(errs...)
}

// podChain begins the names of the chains with one pod's host ports. See
// https://www.cni.dev/plugins/current/meta/portmap/.
const podChain = "CNI-DN-"

// target is the chain that a rule jumps to.
func target(words []string) string {
	if i := slices.Index(words, "-j"); i > 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// marks tells whether the words of a rule have the network's comment, or that of the portmap plugin
// for one of its pods.
func (n *Network) marks(words []string) bool {
	for i, word := range words[1:] {
		if words[i] == "--comment" && (word == n.Name || strings.HasPrefix(word, fmt.Sprintf("dnat name: %q ", n.Name))) {
			return true
		}
	}
	return false
}

// split returns the words of a line of “iptables -S”, which puts those with spaces into quotes.
func split(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped, begun := false, false, false
	for _, r := range strings.TrimSpace(line) {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case quoted && r == '\\':
			escaped = true
		case r == '"':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
