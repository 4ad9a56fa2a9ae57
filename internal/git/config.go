package git

import (
	"fmt"
	"strings"
)

// config is the configuration of a repository that was fetched from an address, without credentials.
func config(address string, bare bool, format string) []byte {
	var b strings.Builder
	version := 0
	if format != "sha1" {
		version = 1
	}
	fmt.Fprintf(&b, "[core]\n\trepositoryformatversion = %d\n\tfilemode = true\n\tbare = %t\n", version, bare)
	if version == 1 {
		fmt.Fprintf(&b, "[extensions]\n\tobjectFormat = %s\n", format)
	}
	fmt.Fprintf(&b, "[remote \"origin\"]\n\turl = %s\n", quoted(Redacted(address)))
	if !bare {
		// As vendir has it.
		b.WriteString("\tfetch = +refs/heads/*:refs/remotes/origin/*\n\ttagOpt = --tags\n")
	}
	return []byte(b.String())
}

// quoted makes a text a value or a section's name of git's configuration, whatever is in it but line ends.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
