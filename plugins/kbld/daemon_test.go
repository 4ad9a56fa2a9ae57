package kbld_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
	"strake.dev/strake/stages/stagetest"
)

// building is an App that has something to build, at the daemons that a “buildkit” mapping says.
func building(daemons string) stagetest.Case {
	return stagetest.Case{
		Config:    in("sources: [{image: app, path: src}]\ndestinations: [{image: app, newImage: HOST/app}]") + "\nbuildkit: " + daemons,
		Manifests: deployment("app"),
		Files:     map[string]string{"src/Dockerfile": "FROM scratch\n"},
	}
}

func TestChoiceOfDaemons(t *testing.T) {
	for daemons, want := range map[string]buildkit.Choice{
		"{}":                     {},
		"{address: 'unix:///x'}": {Addresses: []string{"unix:///x"}},
		"{addresses: ['unix:///x', 'tcp://y:1']}": {Addresses: []string{"unix:///x", "tcp://y:1"}},
		"{pods: {}}": {Pods: &buildkit.Pods{}},
		"{pods: {selector: a=b, namespace: c, container: d, port: 1}}": {Pods: &buildkit.Pods{Selector: "a=b", Namespace: "c", Container: "d", Port: 1}},
	} {
		t.Run(daemons, func(t *testing.T) {
			w := newWorld(t)
			job, _ := w.must(building(daemons))
			got := w.builder.choice
			if !slices.Equal(got.Addresses, want.Addresses) || got.Namespace != job.App.Namespace || got.TLS != nil ||
				(got.Pods == nil) != (want.Pods == nil) || got.Pods != nil && *got.Pods != *want.Pods {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTLSOfDaemons(t *testing.T) {
	authority := buildkittest.NewAuthority(t)
	cert, key := authority.Client(t, time.Now().Add(time.Hour))
	data := map[string]string{"ca.crt": string(authority.Certificate), "tls.crt": string(cert), "tls.key": string(key)}
	c := building("{address: 'tcp://b:1', tls: {secretRef: {name: builder}}}")
	c.Objects.Secrets = map[string]map[string]string{"builder": data}
	w := newWorld(t)
	w.must(c)
	if w.builder.choice.TLS == nil {
		t.Error("the Secret wasn't read")
	}

	delete(data, "tls.key")
	_, _, err := newWorld(t).run(c)
	if err == nil || err.Error() != "buildkit.tls.secretRef: Secret builder has no tls.key" || stages.Hint(err) != "expected ca.crt, tls.crt and tls.key" {
		t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
	}
	c.Objects.Secrets = nil
	_, _, err = newWorld(t).run(c)
	if err == nil || !strings.HasPrefix(err.Error(), "buildkit.tls.secretRef: Secret builder: ") || !strings.Contains(stages.Hint(err), "add a Secret of that name to the App's file") {
		t.Errorf("error: %v (hint: %s)", err, stages.Hint(err))
	}
}
