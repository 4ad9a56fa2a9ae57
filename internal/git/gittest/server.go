package gittest

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// uploadPack is the only service: reading.
const uploadPack = "git-upload-pack"

// Handler serves the repositories below root, as root/NAME/.git under /NAME/.git and /NAME, for reading: as
// git-http-backend does (https://git-scm.com/docs/http-protocol), with half as many processes.
func Handler(t testing.TB, root string) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{repository...}", func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutSuffix(r.PathValue("repository"), "/info/refs")
		if !ok || r.URL.Query().Get("service") != uploadPack {
			http.NotFound(w, r)
			return
		}
		announcement := "001e# service=" + uploadPack + "\n0000"
		if strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
			announcement = ""
		}
		serve(w, r, filepath.Join(root, filepath.FromSlash(path.Clean("/"+name))), "advertisement", announcement, "--http-backend-info-refs")
	})
	mux.HandleFunc("POST /{repository...}", func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutSuffix(r.PathValue("repository"), "/"+uploadPack)
		if !ok {
			http.NotFound(w, r)
			return
		}
		serve(w, r, filepath.Join(root, filepath.FromSlash(path.Clean("/"+name))), "result", "")
	})
	return mux
}

// serve answers with what git upload-pack says, after a prefix.
func serve(w http.ResponseWriter, r *http.Request, repository, kind, prefix string, args ...string) {
	if _, err := os.Stat(filepath.Join(repository, ".git")); err == nil {
		repository = filepath.Join(repository, ".git")
	}
	if _, err := os.Stat(filepath.Join(repository, "HEAD")); err != nil {
		http.NotFound(w, r)
		return
	}
	input := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		input = z
	}
	body, err := io.ReadAll(input)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	cmd := exec.CommandContext(r.Context(), "git", append(append([]string{"upload-pack", "--strict", "--stateless-rpc"}, args...), repository)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}
	cmd.Stdin, cmd.Stdout = bytes.NewReader(body), w
	w.Header().Set("Content-Type", "application/x-"+uploadPack+"-"+kind)
	w.Header().Set("Cache-Control", "no-cache")
	if _, err := io.WriteString(w, prefix); err == nil {
		_ = cmd.Run() // what is wrong, git says in its answer
	}
}
