package scaffold

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A service is one of a compose file on its way to become a Deployment and a Service.
type service struct {
	w    *writer
	c    *composition
	file string
	// name is what the objects are called.
	name    string
	config  types.ServiceConfig
	claimed map[string]bool
}

// carried are the fields that have a counterpart, or that mean nothing in a cluster, where all pods reach each
// other, are started again, and take what they depend on for granted.
var carried = []string{
	"build", "cap_add", "cap_drop", "command", "container_name", "cpus", "depends_on", "deploy", "entrypoint", "env_file", "environment",
	"expose", "healthcheck", "hostname", "image", "mem_limit", "mem_reservation", "networks", "ports", "privileged", "read_only", "restart",
	"scale", "stdin_open", "stop_grace_period", "tmpfs", "tty", "user", "volumes", "working_dir",
}

// carriedOfBuild are those of build.
var carriedOfBuild = []string{"additional_contexts", "args", "context", "dockerfile", "labels", "no_cache", "platforms", "pull", "target"}

// carriedOfDeploy are those of deploy.
var carriedOfDeploy = []string{"mode", "replicas", "resources", "restart_policy"}

// leftOut tells which fields have no counterpart.
func (s *service) leftOut(prefix string, config any, carried []string) {
	text, err := json.Marshal(config)
	if err != nil {
		return
	}
	var fields map[string]any
	if json.Unmarshal(text, &fields) != nil {
		return
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(carried, field) && !strings.HasPrefix(field, "x-") && !isZero(fields[field]) {
			s.w.assume("%s%s of service %s has no counterpart here and is left out", prefix, field, s.config.Name)
		}
	}
}

func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return !isZero(x) })
	default:
		return false
	}
}

// objects are those of the service.
func (s *service) objects(a *app) []any {
	if s.name != s.config.Name {
		s.w.assume("service %s is called %s, as names of objects can't have other letters: who calls it has to know", s.config.Name, s.name)
	}
	container := map[string]any{"name": s.name, "image": s.image(a)}
	if len(s.config.Entrypoint) > 0 {
		container["command"] = []string(s.config.Entrypoint)
	}
	if len(s.config.Command) > 0 {
		container["args"] = []string(s.config.Command)
	}
	if dir := s.config.WorkingDir; dir != "" {
		container["workingDir"] = dir
	}
	s.environment(container)
	if s.config.Tty {
		container["tty"] = true
	}
	if s.config.StdinOpen {
		container["stdin"] = true
	}
	setUnlessEmpty(container, "securityContext", s.security())
	setUnlessEmpty(container, "resources", s.resources())
	setUnlessEmpty(container, "readinessProbe", s.probe())
	ports := s.ports()
	if len(ports) > 0 {
		var opened []any
		for _, p := range ports {
			opened = append(opened, onPort("containerPort", p))
		}
		container["ports"] = opened
	}
	object := deployment(s.name, container)
	spec, _ := object["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	if volumes, mounts, claims := s.volumes(); len(volumes) > 0 {
		pod["volumes"], container["volumeMounts"] = volumes, mounts
		if claims {
			// Two pods can't both have the volume, so that the old one has to go first.
			spec["strategy"] = map[string]any{"type": "Recreate"}
		}
	}
	if d := s.config.StopGracePeriod; d != nil {
		pod["terminationGracePeriodSeconds"] = seconds(*d)
	}
	if n := s.replicas(); n != nil {
		spec["replicas"] = *n
	}
	s.lifetime()
	return []any{object, s.front(ports)}
}

// lifetime tells what a Deployment can't do for the service, and what else is left out.
func (s *service) lifetime() {
	if r := s.config.Restart; r == "no" || strings.HasPrefix(r, "on-failure") {
		s.w.assume("service %s has restart: %s, but pods of a Deployment are always started again: a Job ends", s.config.Name, r)
	}
	for _, other := range slices.Sorted(maps.Keys(s.config.DependsOn)) {
		if s.config.DependsOn[other].Condition == types.ServiceConditionCompletedSuccessfully {
			s.w.assume("service %s doesn't wait until %s has ended", s.config.Name, other)
		}
	}
	s.leftOut("", s.config, carried)
	d := s.config.Deploy
	if d == nil {
		return
	}
	if d.Mode != "" && d.Mode != "replicated" {
		s.w.assume("service %s has the mode %s, but is a Deployment: a DaemonSet has a pod on each node", s.config.Name, d.Mode)
	}
	s.leftOut("deploy.", d, carriedOfDeploy)
}

func setUnlessEmpty(m map[string]any, key string, value map[string]any) {
	if len(value) > 0 {
		m[key] = value
	}
}

// front is the Service: others reach the pods by its name. Where nothing says on which ports, it leads to all.
func (s *service) front(ports []nat.Port) map[string]any {
	spec := map[string]any{"selector": map[string]any{"app": s.name}}
	if len(ports) == 0 {
		spec["clusterIP"] = "None"
		s.w.assume("service %s tells no port: its Service has no address of its own, and leads to all ports of the pods", s.config.Name)
	} else {
		var served []any
		for _, p := range ports {
			one := onPort("port", p)
			one["name"] = fmt.Sprintf("%s-%d", p.Proto(), p.Int())
			served = append(served, one)
		}
		spec["ports"] = served
	}
	return map[string]any{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": s.name}, "spec": spec}
}

func onPort(field string, p nat.Port) map[string]any {
	m := map[string]any{field: p.Int()}
	if p.Proto() != "tcp" {
		m["protocol"] = strings.ToUpper(p.Proto())
	}
	return m
}

// ports are those of the container.
func (s *service) ports() []nat.Port {
	var ports []nat.Port
	add := func(p nat.Port) {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	for _, p := range s.config.Ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		add(nat.Port(fmt.Sprintf("%d/%s", p.Target, protocol)))
	}
	for _, text := range s.config.Expose {
		mappings, err := nat.ParsePortSpec(text)
		if err != nil {
			s.w.assume("port %s of service %s is left out: %s", text, s.config.Name, err)
		}
		for _, m := range mappings {
			add(m.Port)
		}
	}
	return ports
}

// builtAs is what an image is called here, if another service builds it, and else its reference.
func (c *composition) builtAs(ref string) string {
	wanted, err := name.ParseReference(ref)
	if err != nil {
		return ref
	}
	for _, other := range slices.Sorted(maps.Keys(c.Services)) {
		if o := c.Services[other]; o.Build != nil && o.Image != "" {
			if built, err := name.ParseReference(o.Image); err == nil && built.Name() == wanted.Name() {
				return Name(other)
			}
		}
	}
	return ref
}

// image is what the container runs.
func (s *service) image(a *app) string {
	b := s.config.Build
	if b == nil {
		return s.c.builtAs(s.config.Image)
	}
	s.leftOut("build.", b, carriedOfBuild)
	if !filepath.IsAbs(b.Context) {
		s.w.assume("the image of service %s is built from %s, which is left out: add it as a source of fetch and build", s.config.Name, b.Context)
		return s.name
	}
	options := map[string]any{}
	if b.Target != "" {
		options["target"] = b.Target
	}
	args := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		value := b.Args[name]
		if value == nil {
			s.w.assume("build argument %s of service %s has no value and is left out", name, s.config.Name)
			continue
		}
		args[name] = *value
	}
	if len(args) > 0 {
		options["buildArgs"] = args
	}
	if len(b.Platforms) > 0 {
		options["platforms"] = []string(b.Platforms)
	}
	if len(b.AdditionalContexts) > 0 {
		options["contexts"] = s.contexts()
	}
	if len(b.Labels) > 0 {
		options["labels"] = map[string]string(b.Labels)
	}
	if b.NoCache {
		options["noCache"] = true
	}
	if b.Pull {
		options["pull"] = true
	}
	dockerfile := relative(b.Context, b.Dockerfile)
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	home := s.config.Image
	if home == "" {
		home = s.name
	}
	s.w.image(a, image{ref: s.name, home: home, short: s.name, folder: relative(s.c.root, b.Context), dockerfile: dockerfile, options: options})
	return s.name
}

// contexts are the build's named ones; folders count from the App's.
func (s *service) contexts() map[string]string {
	all := map[string]string{}
	for name, where := range s.config.Build.AdditionalContexts {
		all[name] = relative(s.c.root, where)
	}
	return all
}

// sensitive are names whose values are secrets, most likely.
var sensitive = regexp.MustCompile(`(?i)(passw(or)?d|secret|token|api_?key|private_?key|credential)`)

// environment sets the container's variables. What the compose file takes from elsewhere comes from a Secret.
func (s *service) environment(container map[string]any) {
	var env []any
	secret := s.name + "-env"
	keys := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.config.Environment)) {
		if from := s.c.unset(s.config.Name, name); from != "" {
			env = append(env, map[string]any{"name": name, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": secret, "key": from}}})
			keys[from], s.w.secret[from] = true, true
			continue
		}
		value := ""
		if v := s.config.Environment[name]; v != nil {
			value = *v
		}
		env = append(env, map[string]any{"name": name, "value": value})
		if value != "" && sensitive.MatchString(name) {
			s.w.assume("%s of service %s stands in the file as %s has it: a Secret would be the place for it", name, s.config.Name, s.file)
		}
	}
	if len(env) > 0 {
		container["env"] = env
	}
	if len(keys) > 0 {
		var literals []string
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			literals = append(literals, "--from-literal="+key+"=VALUE")
		}
		s.w.assume("service %s takes from a Secret what %s takes from variables: kubectl create secret generic %s %s", s.config.Name, s.file, secret, strings.Join(literals, " "))
	}
	if len(s.config.EnvFiles) == 0 {
		return
	}
	secret += "-file"
	container["envFrom"] = []any{map[string]any{"secretRef": map[string]any{"name": secret}}}
	var files []string
	for _, f := range s.config.EnvFiles {
		files = append(files, "--from-env-file="+relative(s.c.root, f.Path))
	}
	s.w.assume("service %s takes its env_file from a Secret: kubectl create secret generic %s %s", s.config.Name, secret, strings.Join(files, " "))
}

// relative is a path that counts from a folder. What isn't absolute, such as an address, stays.
func relative(folder, file string) string {
	if rel, err := filepath.Rel(folder, file); err == nil && filepath.IsAbs(file) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(file)
}

// volumes are the pod's and where the container has them; claims tells whether one of them is a claim.
func (s *service) volumes() (volumes, mounts []any, claims bool) {
	add := func(name, target string, readOnly bool, volume map[string]any) {
		volume["name"] = name
		if !slices.ContainsFunc(volumes, func(v any) bool { return v.(map[string]any)["name"] == name }) {
			volumes = append(volumes, volume)
		}
		mount := map[string]any{"name": name, "mountPath": target}
		if readOnly {
			mount["readOnly"] = true
		}
		mounts = append(mounts, mount)
	}
	for i, v := range s.config.Volumes {
		switch {
		case v.Type == types.VolumeTypeVolume && v.Source != "":
			s.claimed[v.Source], claims = true, true
			name := Name(v.Source)
			add(name, v.Target, v.ReadOnly, map[string]any{"persistentVolumeClaim": map[string]any{"claimName": name}})
		case v.Type == types.VolumeTypeVolume:
			add(fmt.Sprintf("volume-%d", i), v.Target, v.ReadOnly, map[string]any{"emptyDir": map[string]any{}})
		case v.Type == types.VolumeTypeTmpfs:
			add(fmt.Sprintf("volume-%d", i), v.Target, v.ReadOnly, map[string]any{"emptyDir": map[string]any{"medium": "Memory"}})
		default:
			s.w.assume("%s of service %s is left out: a cluster doesn't have this machine's %s", v.Target, s.config.Name, relative(s.c.root, v.Source))
		}
	}
	for i, target := range s.config.Tmpfs {
		target, _, _ = strings.Cut(target, ":")
		add(fmt.Sprintf("tmpfs-%d", i), path.Clean(target), false, map[string]any{"emptyDir": map[string]any{"medium": "Memory"}})
	}
	return volumes, mounts, claims
}

func (s *service) security() map[string]any {
	m := map[string]any{}
	if user := s.config.User; user != "" {
		uid, gid, grouped := strings.Cut(user, ":")
		id, err := strconv.Atoi(uid)
		group, groupErr := strconv.Atoi(gid)
		switch {
		case err != nil || grouped && groupErr != nil:
			s.w.assume("user %s of service %s is left out: a cluster knows users by numbers only", user, s.config.Name)
		case grouped:
			m["runAsUser"], m["runAsGroup"] = id, group
		default:
			m["runAsUser"] = id
		}
	}
	if s.config.Privileged {
		m["privileged"] = true
	}
	if s.config.ReadOnly {
		m["readOnlyRootFilesystem"] = true
	}
	capabilities := map[string]any{}
	if list := s.config.CapAdd; len(list) > 0 {
		capabilities["add"] = list
	}
	if list := s.config.CapDrop; len(list) > 0 {
		capabilities["drop"] = list
	}
	setUnlessEmpty(m, "capabilities", capabilities)
	return m
}

func (s *service) resources() map[string]any {
	limits, requests := amounts(float64(s.config.CPUS), s.config.MemLimit), amounts(0, s.config.MemReservation)
	if d := s.config.Deploy; d != nil {
		if r := d.Resources.Limits; r != nil {
			maps.Copy(limits, amounts(float64(r.NanoCPUs), r.MemoryBytes))
		}
		if r := d.Resources.Reservations; r != nil {
			maps.Copy(requests, amounts(float64(r.NanoCPUs), r.MemoryBytes))
		}
	}
	m := map[string]any{}
	setUnlessEmpty(m, "limits", limits)
	setUnlessEmpty(m, "requests", requests)
	return m
}

func amounts(cpus float64, memory types.UnitBytes) map[string]any {
	m := map[string]any{}
	if cpus > 0 {
		m["cpu"] = resource.NewMilliQuantity(int64(math.Round(cpus*1000)), resource.DecimalSI).String()
	}
	if memory > 0 {
		m["memory"] = resource.NewQuantity(int64(memory), resource.BinarySI).String()
	}
	return m
}

// probe is the service's check of its health, as a probe of readiness.
func (s *service) probe() map[string]any {
	h := s.config.HealthCheck
	if h == nil || h.Disable || len(h.Test) < 2 {
		return nil
	}
	command := []string(h.Test[1:])
	if h.Test[0] == "CMD-SHELL" {
		command = append([]string{"/bin/sh", "-c"}, command...)
	}
	m := map[string]any{"exec": map[string]any{"command": command}}
	for field, d := range map[string]*types.Duration{"periodSeconds": h.Interval, "timeoutSeconds": h.Timeout, "initialDelaySeconds": h.StartPeriod} {
		if d != nil {
			m[field] = max(1, seconds(*d))
		}
	}
	if h.Retries != nil && *h.Retries > 0 {
		m["failureThreshold"] = *h.Retries
	}
	return m
}

func (s *service) replicas() *int {
	if d := s.config.Deploy; d != nil && d.Replicas != nil {
		return d.Replicas
	}
	return s.config.Scale
}

func seconds(d types.Duration) int { return int(math.Ceil(time.Duration(d).Seconds())) }
