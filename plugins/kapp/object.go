package kapp

import (
	"regexp"
	"strings"
	"sync"
)

// An object is one Kubernetes object as kapp's texts describe it.
type object struct {
	// kind is in lower case.
	kind, name, apiVersion, namespace string
}

// description is how kapp's library describes an object: “deployment/web (apps/v1) namespace: x” or
// “namespace/x (v1) cluster”.
const description = `([a-z0-9]+)/([^ ]+) \(([^ )]*)\) (?:namespace: ([a-z0-9.-]+)|cluster)`

var onlyDescription = pattern(`\A` + description + `\z`)

// pattern compiles a regular expression when it is first used: most commands need none of them.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// parseObject reads a description of an object.
func parseObject(text string) (object, bool) {
	m := onlyDescription().FindStringSubmatch(text)
	if m == nil {
		return object{}, false
	}
	return object{kind: m[1], name: m[2], apiVersion: m[3], namespace: m[4]}, true
}

// String names the object for people.
func (o object) String() string {
	if o.namespace == "" {
		return o.kind + "/" + o.name
	}
	return o.kind + "/" + o.name + " (namespace " + o.namespace + ")"
}

func newObject(kind, name, apiVersion, namespace string) object {
	if namespace == "(cluster)" {
		namespace = ""
	}
	return object{kind: strings.ToLower(kind), name: name, apiVersion: apiVersion, namespace: namespace}
}
