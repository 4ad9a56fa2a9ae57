package main

import "testing"

// What is said in the protocol of plugins is valid by its schema, and what isn't, is not.
func TestPluginSchema(t *testing.T) {
	s := compile(t, "plugin")
	for line, valid := range map[string]bool{
		`{"hello":{"protocols":["strake.dev/plugin/v1"],"strake":"strake v1"}}`:                                                                               true,
		`{"hello":{"protocol":"strake.dev/plugin/v1","name":"label","version":"v1","stages":["template"],"capabilities":["key"]}}`:                            true,
		`{"request":{"op":"run","stage":"template","step":"a","app":{"name":"a","namespace":"b"},"config":{"x":1},"areas":{"out":"/o","temp":"/t"},"new":1}}`: true,
		`{"event":{"type":"log","message":"hi"}}`: true,
		`{"result":{}}`:              true,
		`{"error":{"message":"no"}}`: true,
		`{"error":{"hint":"no"}}`:    false,
		`{"event":{"type":"shout"}}`: false,
		`{"hello":{"protocol":"strake.dev/plugin/v2","name":"a","version":"","stages":[]}}`: false,
		`{"result":{},"error":{"message":"both"}}`:                                          false,
		`{"answer":{}}`: false,
		`{}`:            false,
	} {
		if err := validate(t, s, "line.json", []byte(line)); (err == nil) != valid {
			t.Errorf("%s: valid %t, want %t: %v", line, err == nil, valid, err)
		}
	}
}
