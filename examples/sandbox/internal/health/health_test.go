package health

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// grpcServer answers every call with the given message.
func grpcServer(t *testing.T, message []byte) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/grpc.health.v1.Health/Check" || r.ProtoMajor != 2 {
			t.Errorf("got %s %s", r.Proto, r.URL.Path)
		}
		w.Header().Set("Trailer", "Grpc-Message")
		_, _ = w.Write(message)
		w.Header().Set("Grpc-Message", "later")
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return socket
}

func TestGRPC(t *testing.T) {
	if err := GRPC(t.Context(), grpcServer(t, healthServing)); err != nil {
		t.Error(err)
	}
	notServing := []byte{0, 0, 0, 0, 2, 0x08, 2}
	if err := GRPC(t.Context(), grpcServer(t, notServing)); err == nil || !strings.Contains(err.Error(), "later") {
		t.Errorf("not serving: %v", err)
	}
	if err := GRPC(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no server: no error")
	}
}

func TestHTTP(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("reason\n"))
	}))
	defer server.Close()
	if err := HTTP(t.Context(), server.Client(), server.URL); err != nil {
		t.Error(err)
	}
	status = http.StatusInternalServerError
	if err := HTTP(t.Context(), server.Client(), server.URL); err == nil || !strings.HasSuffix(err.Error(), ": reason") {
		t.Errorf("got %v, want the reason", err)
	}
}
