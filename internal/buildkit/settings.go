package buildkit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A setting is an argument, a label or an option of a build.
type setting struct {
	// kind is arg, label, …; name is empty for those that there is one of.
	kind, name string
	value      string
	// bare is set if the name is all that counts.
	bare bool
}

type settings []setting

// text is what digests are over.
func (s settings) text() string {
	var text strings.Builder
	for _, one := range s {
		text.WriteString(one.kind)
		if one.name != "" {
			fmt.Fprintf(&text, " %q", one.name)
		}
		if !one.bare {
			fmt.Fprintf(&text, " %q", one.value)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// details has the digests of values.
func (s settings) details() []detail {
	list := make([]detail, 0, len(s))
	for _, one := range s {
		d := detail{name: one.kind + " " + one.name}
		if !one.bare {
			d.value = textSum(one.value)
		}
		list = append(list, d)
	}
	return list
}

func (s *settings) addMap(kind string, values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		*s = append(*s, setting{kind: kind, name: name, value: values[name]})
	}
}

func (s *settings) addList(kind string, values []string) {
	for _, v := range values {
		*s = append(*s, setting{kind: kind, name: v, bare: true})
	}
}

// arguments are what [PartArgs] is over.
func (b *Build) arguments() settings {
	var s settings
	s.addMap("arg", b.source.Args)
	s.addMap("label", b.source.Labels)
	if b.epoch != "" {
		s = append(s, setting{kind: "epoch", value: b.epoch})
	}
	return s
}

// settings are the options that have no part of their own. Where steps are taken from and kept, and
// which are run again, doesn't change the image.
func (o Options) settings() settings {
	var s settings
	s.addMap("annotation", o.Annotations)
	s.addList("secret", slices.Sorted(maps.Keys(o.Secrets)))
	s.addList("ssh", slices.Sorted(maps.Keys(o.SSH)))
	s.addList("entitlement", o.entitlements())
	s.addList("host", o.Hosts)
	s.addList("ulimit", o.Ulimits)
	for _, single := range [][2]string{
		{"provenance", o.Provenance}, {"sbom", o.SBOM}, {"network", o.network()}, {"shm", o.shmSize()}, {"cgroup", o.CgroupParent},
	} {
		if single[1] != "" {
			s = append(s, setting{kind: single[0], value: single[1]})
		}
	}
	return s
}
