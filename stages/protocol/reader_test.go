package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"a message":     {`{"result":{}}`, ""},
		"empty lines":   {"\n\r\n  \n{\"event\":{\"type\":\"log\"}}\n", ""},
		"unknown field": {`{"result":{"later":1}}`, ""},
		"nothing":       {"", "EOF"},
		"no json":       {"hi", "line 1 is not a message"},
		"none":          {"{}", "found 0"},
		"two":           {`{"result":{},"error":{"message":"x"}}`, "found 2"},
		"long":          {strings.Repeat("x", MaxLine+2), "longer than"},
		"more than all": {strings.Repeat("\n", 5<<20), ErrTooMuch.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(test.in), 4<<20).Plugin()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("expected an error with %q, found %v", test.want, err)
			}
		})
	}
}

// Whatever comes is a message or an error, and ends.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"result":{}}`, "\n\n", `{"hello":{"protocol":"x","stages":[]}}` + "\n" + `{"event":{"type":"task","task":{}}}`, "\x00\xff", `{"result":{"outputs":{"n":1,"b":true,"s":"x"}}}`, `{"error":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in), 1<<20)
		for n := 0; ; n++ {
			m, err := r.Plugin()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if n > len(in) {
					t.Fatal("it doesn't end")
				}
				return
			}
			var out bytes.Buffer
			if err := Write(&out, m); err != nil {
				return // a message can become longer when it is written
			}
			if _, err := NewReader(&out, 8<<20).Plugin(); err != nil {
				t.Fatalf("%q was read, and not again: %v", in, err)
			}
		}
	})
}
