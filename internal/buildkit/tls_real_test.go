package buildkit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strake.dev/strake/internal/buildkit"
	"strake.dev/strake/internal/buildkit/buildkittest"
	"strake.dev/strake/stages"
)

// quiet drops all events.
type quiet struct{}

func (quiet) Observe(stages.Event) {}

// files is the data of a Secret of the type kubernetes.io/tls; nil parts are left out.
func files(ca, cert, key []byte) map[string][]byte {
	data := map[string][]byte{}
	for name, part := range map[string][]byte{"ca.crt": ca, "tls.crt": cert, "tls.key": key} {
		if part != nil {
			data[name] = part
		}
	}
	return data
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, others := buildkittest.NewAuthority(t), buildkittest.NewAuthority(t)
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	cert, key := ours.Client(t, soon)
	otherCert, otherKey := others.Client(t, soon)
	s := buildkittest.Start(t, buildkittest.TLS(ours, soon))
	expired := buildkittest.Start(t, buildkittest.TLS(ours, past))
	plain := buildkittest.Start(t, buildkittest.TCP())

	for name, c := range map[string]struct {
		address    string
		data       map[string][]byte
		serverName string
		want, hint string
	}{
		"right":           {data: files(ours.Certificate, cert, key)},
		"right name":      {data: files(ours.Certificate, cert, key), serverName: "buildkitd.test"},
		"other name":      {data: files(ours.Certificate, cert, key), serverName: "buildkit.example.com", want: "its certificate is for another name: x509: certificate is valid for buildkitd.test, not buildkit.example.com", hint: "serverName"},
		"other authority": {data: files(others.Certificate, cert, key), want: "its certificate is not signed by ca.crt of Secret tls", hint: "is the right authority in Secret tls?"},
		"no authority":    {data: files(nil, cert, key), want: "its certificate is not signed by an authority that this machine trusts"},
		"no certificate":  {data: files(ours.Certificate, nil, nil), want: "it wants a certificate of the client", hint: "add certificate and key to Secret tls"},
		"other client":    {data: files(ours.Certificate, otherCert, otherKey), want: "it doesn't accept the client's certificate: ", hint: "is tls.crt of Secret tls signed by the authority that the daemon knows?"},
		"no TLS":          {want: "doesn't answer: it doesn't speak plain gRPC", hint: "does it want TLS? Name a folder with certificates by --buildkit-tls-dir"},
		"expired daemon":  {address: expired.Address, data: files(ours.Certificate, cert, key), want: "its certificate has expired, or is not valid yet: valid from "},
		"plain daemon":    {address: plain.Address, data: files(ours.Certificate, cert, key), want: "it doesn't speak TLS"},
		"plain":           {address: plain.Address},
	} {
		t.Run(name, func(t *testing.T) {
			d := buildkit.Daemon{Address: s.Address}
			if c.address != "" {
				d.Address = c.address
			}
			if c.data != nil {
				var err error
				if d.TLS, err = buildkit.SecretTLS("tls", c.data, c.serverName); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			err := newPool(t, d).build(t.Context(), t, "FROM BASE\nCOPY Dockerfile /\n")
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("%v (hint: %s)", err, stages.Hint(err))
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "BuildKit daemon at "+d.Address+" doesn't answer: ") || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error: %v\nexpected %q", err, c.want)
			case c.want != "" && !strings.Contains(stages.Hint(err), c.hint):
				t.Errorf("hint: %q, expected %q", stages.Hint(err), c.hint)
			}
			if took := time.Since(began); c.want != "" && took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A client that has a folder of certificates uses it for every daemon at a tcp:// address.
func TestTLSDir(t *testing.T) {
	authority := buildkittest.NewAuthority(t)
	soon := time.Now().Add(time.Hour)
	cert, key := authority.Client(t, soon)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"ca.pem": authority.Certificate, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := buildkittest.Start(t, buildkittest.TLS(authority, soon))
	client := buildkit.New(buildkit.ClientOptions{Address: s.Address, TLSDir: dir})
	if err := client.Check(); err != nil {
		t.Fatal(err)
	}
	daemons, err := client.Daemons(t.Context(), buildkit.Choice{}, quiet{})
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, daemons...)
	p.client = client
	if err := p.build(t.Context(), t, "FROM BASE\nCOPY Dockerfile /\n"); err != nil {
		t.Errorf("%v (hint: %s)", err, stages.Hint(err))
	}
}
