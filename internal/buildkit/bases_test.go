package buildkit

import (
	"slices"
	"testing"
)

func TestBaseRefs(t *testing.T) {
	for name, c := range map[string]struct {
		dockerfile string
		args       map[string]string
		platforms  []string
		want       []string
	}{
		"one":                  {dockerfile: "FROM busybox\n", want: []string{"busybox"}},
		"scratch":              {dockerfile: "FROM scratch\n"},
		"stage":                {dockerfile: "FROM golang:1 AS Build\nFROM build\nCOPY --from=BUILD /a /a\n", want: []string{"golang:1"}},
		"stage by number":      {dockerfile: "FROM a:1\nFROM scratch\nCOPY --from=0 /a /a\n", want: []string{"a:1"}},
		"digest":               {dockerfile: "FROM a@sha256:" + digest64 + "\n", want: []string{"a@sha256:" + digest64}},
		"copied from an image": {dockerfile: "FROM scratch\nCOPY --from=tool:2 /a /a\n", want: []string{"tool:2"}},
		"mounted from":         {dockerfile: "FROM a\nRUN --mount=type=bind,from=tool:2,target=/t true\n", want: []string{"a", "tool:2"}},
		"cache mount":          {dockerfile: "FROM a\nRUN --mount=type=cache,target=/t true\n", want: []string{"a"}},
		"argument":             {dockerfile: "ARG V=1\nFROM a:${V}\n", want: []string{"a:1"}},
		"argument given":       {dockerfile: "ARG V=1\nFROM a:$V\n", args: map[string]string{"V": "2"}, want: []string{"a:2"}},
		"argument of argument": {dockerfile: "ARG V=1\nARG W=x$V\nFROM a:${W}\n", args: map[string]string{"V": "2"}, want: []string{"a:x2"}},
		"default of argument":  {dockerfile: "FROM ${B:-busybox}\n", want: []string{"busybox"}},
		"undeclared argument":  {dockerfile: "FROM a$V\n", args: map[string]string{"V": "2"}, want: []string{"a"}},
		"platform":             {dockerfile: "FROM --platform=$BUILDPLATFORM a-$TARGETARCH\n", platforms: []string{"linux/arm64", "linux/amd64"}, want: []string{"a-amd64", "a-arm64"}},
		"syntax":               {dockerfile: "# syntax=docker/dockerfile:1\nFROM a\n", want: []string{"a", "docker/dockerfile:1"}},
		"escape":               {dockerfile: "# escape=`\nFROM `\n a\n", want: []string{"a"}},
		"unknown instruction":  {dockerfile: "# syntax=mine:1\nFROM a\nWHATEVER b\n", want: []string{"mine:1"}},
		"nonsense":             {dockerfile: "\x00\xff{"},
		"empty":                {dockerfile: ""},
		"heredoc":              {dockerfile: "FROM a\nRUN <<EOT\nFROM b\nEOT\n", want: []string{"a"}},
		"stage named later":    {dockerfile: "FROM a\nCOPY --from=late /x /x\nFROM b AS late\n", want: []string{"a", "b", "late"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := baseRefs([]byte(c.dockerfile), c.args, c.platforms); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const digest64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func FuzzBaseRefs(f *testing.F) {
	f.Add("# syntax=a\nARG V=1\nFROM a:$V AS b\nCOPY --from=c /a /b\nRUN --mount=from=d true\n", "V", "2")
	f.Fuzz(func(t *testing.T, dockerfile, name, value string) {
		first := baseRefs([]byte(dockerfile), map[string]string{name: value}, nil)
		again := baseRefs([]byte(dockerfile), map[string]string{name: value}, nil)
		if !slices.Equal(first, again) || !slices.IsSorted(first) {
			t.Errorf("%q, then %q", first, again)
		}
		if slices.Contains(first, "scratch") {
			t.Errorf("scratch is no image: %q", first)
		}
	})
}
