package component

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files")

func testLayout(dir string) *Layout {
	return &Layout{
		Dir: dir, Run: "/run/strake/sandbox/0123abcd", Node: "sandbox-test", Real: true,
		Ports: map[string]int{
			PortRegistry: 20001, PortAPI: 20002, PortEtcd: 20003, PortEtcdPeer: 20004, PortKubelet: 20005,
		},
		Pods: netip.MustParsePrefix("10.200.3.0/24"), Gateway: netip.MustParseAddr("10.200.3.1"),
		Secret: "secret", Runc: "/usr/sbin/runc", Cgroup: "/strake-sandbox-0123abcd",
		Bridge: "sk-0123abcd", Network: "strake-sandbox-0123abcd",
	}
}

func all(l *Layout) []Component {
	return []Component{
		Registry(l), BuildKit(l), Etcd(l), APIServer(l), ControllerManager(l), Scheduler(l),
		Containerd(l), Kubelet(l), Kwok(l, "stages"),
	}
}

// The golden files show a change of configuration as a difference to review.
func TestConfiguration(t *testing.T) {
	for _, c := range all(testLayout("/state/test")) {
		t.Run(c.Name, func(t *testing.T) {
			var got bytes.Buffer
			_, _ = fmt.Fprintf(&got, "# %s\n%s\n", c.Program, strings.Join(c.Args, "\n"))
			for _, path := range slices.Sorted(maps.Keys(c.Files)) {
				_, _ = fmt.Fprintf(&got, "\n# %s\n%s", path, c.Files[path])
			}
			golden := filepath.Join("testdata", c.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; run go test -update", err)
			}
			if got.String() != string(want) {
				t.Errorf("configuration differs from %s; run go test -update and review.\n%s", golden, got.String())
			}
		})
	}
}

// Nothing but kubelet may listen where other machines could reach it, and kubelet only on the pod
// network.
func TestEverythingListensLocally(t *testing.T) {
	for _, c := range all(testLayout("/state/test")) {
		text := strings.Join(c.Args, "\n")
		for _, content := range c.Files {
			text += content
		}
		for _, anywhere := range []string{"0.0.0.0:", "[::]", `":20`, "bind-address=0.0.0.0"} {
			if strings.Contains(text, anywhere) {
				t.Errorf("%s listens on %s", c.Name, anywhere)
			}
		}
	}
}

func TestKubeconfigs(t *testing.T) {
	l := testLayout(t.TempDir())
	if err := l.IssueCertificates(); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteKubeconfigs(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(l.Kubeconfig("admin"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		CurrentContext string `json:"current-context"`
		Clusters       []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
			}
		}
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(l.PKI("admin.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if config.Clusters[0].Cluster.Server != "https://127.0.0.1:20002" || !bytes.Equal(config.Users[0].User.Cert, cert) || config.CurrentContext != l.Node {
		t.Errorf("kubeconfig: %s", data)
	}

	// A second time nothing changes, so that nothing is restarted.
	if err := l.IssueCertificates(); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(l.PKI("admin.crt")); err != nil || !bytes.Equal(again, cert) {
		t.Errorf("certificate was issued again (%v)", err)
	}
}
