package scaffold

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"strake.dev/strake/schema"
)

// carried are the fields of a compose service that have a counterpart, https://docs.docker.com/reference/compose-file/services/.
var carried = []string{"image", "build", "ports", "expose", "environment", "command", "entrypoint", "working_dir", "container_name", "restart", "depends_on"}

// compose writes objects for the services of a compose file: a Deployment each, and a Service for those with ports.
func (w *writer) compose(a *app, file string) error {
	text, err := fs.ReadFile(w.dir, file)
	if err != nil {
		return err
	}
	docs, err := schema.Parse(file, text)
	if err != nil {
		return err
	}
	var objects []any
	for _, doc := range docs {
		for _, s := range doc.Get("services").Pairs() {
			objects = append(objects, w.service(a, path.Dir(file), Name(s.Key), s.Value)...)
		}
	}
	if len(objects) == 0 {
		return schema.Diagnostics{{Pos: schema.Pos{File: file}, Path: "services", Msg: "expected at least one service"}}
	}
	w.inline(a, objects)
	w.assume("the services of %s are Deployments, and Services where they have ports", file)
	return nil
}

// service makes the objects of one service.
func (w *writer) service(a *app, folder, name string, s *schema.Node) []any {
	container := map[string]any{"name": name, "image": s.Get("image").Text()}
	if b := s.Get("build"); b != nil {
		where, dockerfile := b.Text(), "Dockerfile"
		if b.IsMapping() {
			where = b.Get("context").Text()
			if d := b.Get("dockerfile").Text(); d != "" {
				dockerfile = d
			}
		}
		container["image"] = name
		w.image(a, name, path.Join(folder, where), dockerfile)
	}
	for from, to := range map[string]string{"entrypoint": "command", "command": "args"} {
		if list := texts(s.Get(from)); len(list) > 0 {
			container[to] = list
		}
	}
	if dir := s.Get("working_dir").Text(); dir != "" {
		container["workingDir"] = dir
	}
	if env := environment(s.Get("environment")); len(env) > 0 {
		container["env"] = env
	}
	for _, p := range s.Pairs() {
		if !slices.Contains(carried, p.Key) {
			w.assume("%s of service %s has no counterpart here and is left out", p.Key, name)
		}
	}
	objects := []any{}
	ports := portsOf(s)
	if len(ports) > 0 {
		var opened, served []any
		for _, p := range ports {
			opened = append(opened, map[string]any{"containerPort": p})
			served = append(served, map[string]any{"name": fmt.Sprint("port-", p), "port": p})
		}
		container["ports"] = opened
		objects = append(objects, map[string]any{
			"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"selector": map[string]any{"app": name}, "ports": served},
		})
	}
	return append([]any{deployment(name, container)}, objects...)
}

// texts reads a list, or a command line without quotes.
func texts(n *schema.Node) []string {
	if n == nil {
		return nil
	}
	if text := n.Text(); text != "" {
		return []string{"sh", "-c", text}
	}
	var all []string
	for _, item := range n.Items() {
		all = append(all, item.Text())
	}
	return all
}

// environment reads both forms: a mapping, and a list of NAME=VALUE.
func environment(n *schema.Node) []any {
	var env []any
	if n == nil {
		return nil
	}
	for _, p := range n.Pairs() {
		env = append(env, map[string]any{"name": p.Key, "value": p.Value.Text()})
	}
	for _, item := range n.Items() {
		name, value, _ := strings.Cut(item.Text(), "=")
		env = append(env, map[string]any{"name": name, "value": value})
	}
	return env
}

// portsOf lists the ports of the container.
func portsOf(s *schema.Node) []int {
	var ports []int
	add := func(text string) {
		text, _, _ = strings.Cut(text, "/")
		if i := strings.LastIndex(text, ":"); i >= 0 {
			text = text[i+1:]
		}
		if n, err := strconv.Atoi(text); err == nil && !slices.Contains(ports, n) {
			ports = append(ports, n)
		}
	}
	for _, field := range []string{"ports", "expose"} {
		for _, item := range s.Get(field).Items() {
			if item.IsMapping() {
				add(item.Get("target").Text())
				continue
			}
			add(item.Text())
		}
	}
	return ports
}
