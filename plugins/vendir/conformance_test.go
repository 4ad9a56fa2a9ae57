package vendir_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"strake.dev/strake/internal/git/gittest"
	"strake.dev/strake/internal/registry"
	"strake.dev/strake/plugins/vendir"
	"strake.dev/strake/plugins/vendir/source"
	"strake.dev/strake/stages/stagetest"
)

func TestConformance(t *testing.T) {
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.URL.Path == "/private" && password != "correct-horse" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("content"))
	}))
	t.Cleanup(web.Close)
	repo := gittest.New(t, t.TempDir(), "app")
	repo.Write("a.yml", "a: 1\n", 0o644)
	repo.Commit("first")
	login := stagetest.Objects{Secrets: map[string]map[string]string{"login": {"username": "me", "password": "correct-horse"}}}
	wrong := stagetest.Objects{Secrets: map[string]map[string]string{"login": {"username": "me", "password": "battery-staple"}}}
	stagetest.Run(t, vendir.Plugin(source.Deps{Registry: client}),
		stagetest.Case{
			Name: "inline", Config: "inline: {paths: {a/b: x}, pathsFrom: [{secretRef: {name: login, directoryPath: s}}]}", Objects: login,
			WantFiles: map[string]string{"a/b": "x", "s/username": "me", "s/password": "correct-horse"},
			Variants: []stagetest.Variant{
				{Name: "another secret", Change: func(c *stagetest.Case) { c.Objects = wrong }},
			},
		},
		stagetest.Case{
			Name: "directory", Config: "directory: {path: in}", Beside: map[string]string{"in/a": "x", "out": "y"},
			WantFiles: map[string]string{"a": "x"},
			Variants: []stagetest.Variant{
				{Name: "another content", Change: func(c *stagetest.Case) { c.Beside["in/a"] = "z" }},
				{Name: "one file more", Change: func(c *stagetest.Case) { c.Beside["in/b"] = "" }},
				{Name: "a file outside", Same: true, Change: func(c *stagetest.Case) { c.Beside["out"] = "z" }},
			},
		},
		stagetest.Case{Name: "no directory", Config: "directory: {path: in}", WantError: "no such folder"},
		stagetest.Case{
			Name: "http", Config: "http: {url: '" + web.URL + "/private', secretRef: {name: login}}", Objects: login,
			WantFiles: map[string]string{"private": "content"},
		},
		stagetest.Case{
			Name: "wrong password", Config: "http: {url: '" + web.URL + "/private', secretRef: {name: login}}", Objects: wrong,
			WantError: "401 Unauthorized",
		},
		stagetest.Case{
			Name: "git", Config: "git: {url: '" + repo.Dir + "', ref: origin/main}", WantFiles: map[string]string{"a.yml": "a: 1\n"},
		},
		stagetest.Case{Name: "no such ref", Config: "git: {url: '" + repo.Dir + "', ref: origin/none}", WantError: "ref origin/none is not in"},
	)
}
