package kbld_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registries with certificates of their own, and without HTTPS, by kbld's flags.
func TestSameForRegistries(t *testing.T) {
	handler := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	// As a proxy, the registry answers under any name.
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()

	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(secure.URL, "https://")
	if err := remote.Write(tagOf(t, host+"/app:1"), img, remote.WithTransport(secure.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{
		"secure.yml": deployment(host + "/app:1"),
		"plain.yml":  deployment("registry.example/app:1"),
		"ca.pem":     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})),
	})
	env := []string{"HTTP_PROXY=" + plain.URL, "HTTPS_PROXY=" + nobody.URL, "NO_PROXY=127.0.0.1"}
	for line, fails := range map[string]bool{
		"-f secure.yml": true,
		"-f secure.yml --registry-ca-cert-path ca.pem": false,
		"-f secure.yml --registry-verify-certs=false":  false,
		"-f plain.yml":                                   true,
		"-f plain.yml --registry-insecure":               false,
		"-f plain.yml -f secure.yml --registry-insecure": true,
	} {
		t.Run(line, func(t *testing.T) {
			want, got := both(t, call{args: strings.Fields(line), dir: dir, env: env})
			if fails != (got.Code != 0) {
				t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
			}
			want.Stderr, got.Stderr = comparable(want.Stderr), comparable(got.Stderr)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("differs (-kbld +ours):\n%s", diff)
			}
		})
	}
}
