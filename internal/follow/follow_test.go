package follow

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"strake.dev/strake/internal/kube"
	"strake.dev/strake/stages"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]string{
		"web:80":                "web:80:80",
		"web:8080:80":           "web:8080:80",
		"web:0:80":              "web:0:80",
		"svc/web:8080:80":       "service/web:8080:80",
		"Deployment/web:1:2":    "deployment/web:1:2",
		"web":                   "error: expected a name and one or two ports",
		"web:a":                 `error: "a" is no port`,
		"web:80:0":              `error: "0" is no port`,
		"web:65536:80":          `error: "65536" is no port`,
		":80":                   "error: expected a name",
		"configmap/web:80":      `error: "configmap" is no kind`,
		"pod/a/b:80":            "error: expected a name",
		"web:1:2:3":             "error: expected a name and one or two ports",
		"\x1b[31mweb:1:\x1b[0m": "error: ",
	} {
		p, err := ParsePort(text)
		got := p.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if !strings.Contains(strings.Replace(got, fmt.Sprintf("%q: ", text), "", 1), want) {
			t.Errorf("%q: expected %s, found %s", text, want, got)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("service/web:8080:80")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePort(text)
		if err != nil {
			return
		}
		if again, err := ParsePort(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, but %s is %+v, %v", text, p, p, again, err)
		}
	})
}

func TestTarget(t *testing.T) {
	pod := &core.Pod{Spec: core.PodSpec{Containers: []core.Container{{Ports: []core.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}}
	service := &core.Service{Spec: core.ServiceSpec{Ports: []core.ServicePort{
		{Port: 80, TargetPort: intstr.FromString("http")},
		{Port: 81, TargetPort: intstr.FromInt32(9090)},
		{Port: 82},
		{Port: 83, TargetPort: intstr.FromString("other")},
	}}}
	for port, want := range map[int]int{80: 8080, 81: 9090, 82: 82, 83: 0, 84: 0} {
		got, err := target(service, pod, port)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("port %d of the service: expected %d, found %d, %v", port, want, got, err)
		}
	}
	if got, err := target(nil, pod, 1234); got != 1234 || err != nil {
		t.Errorf("without a service: %d, %v", got, err)
	}
}

func TestObject(t *testing.T) {
	objects := []stages.Object{{Kind: "Pod", Name: "web"}, {Kind: "Deployment", Name: "web"}, {Kind: "Service", Name: "front"}}
	for text, want := range map[string]string{"web:1": "Deployment", "pod/web:1": "Pod", "front:1": "Service"} {
		p, err := ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := object(objects, p); err != nil || o.Kind != want {
			t.Errorf("%s: found %+v, %v", text, o, err)
		}
	}
	_, err := object(objects, Port{Kind: "service", Name: "web"})
	if err == nil || !strings.Contains(stages.Hint(err), "deployment/web") || !strings.Contains(err.Error(), "service/web") {
		t.Errorf("error is %v, hint %q", err, stages.Hint(err))
	}
}

// Each connection goes to the pod that is ready then; one that isn't yet is waited for, and the end leaves nothing.
func TestForward(t *testing.T) {
	var pods []string
	tries := 0
	find := func(context.Context, Port) (kube.Pod, int, error) {
		if tries++; tries == 1 {
			return kube.Pod{}, 0, errors.New("no pod that is ready")
		}
		return kube.Pod{Name: fmt.Sprintf("pod-%d", tries)}, 80, nil
	}
	dial := func(_ context.Context, p kube.Pod, port int) (net.Conn, error) {
		pods = append(pods, p.Name)
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			line, _ := bufio.NewReader(theirs).ReadString('\n')
			fmt.Fprintf(theirs, "%s:%d says %s", p.Name, port, line)
		}()
		return ours, nil
	}
	f, err := Listen(t.Context(), Port{Name: "web", Remote: 80}, find, dial, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		t.Helper()
		conn, err := net.Dial("tcp", f.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintln(conn, "hello")
		text, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for n := 2; n < 4; n++ {
		if got, want := ask(), fmt.Sprintf("pod-%d:80 says hello\n", n); got != want {
			t.Errorf("answered %q, expected %q", got, want)
		}
	}
	hanging, err := net.Dial("tcp", f.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	for len(pods) < 3 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("closed after %s", took)
	}
	if conn, err := net.Dial("tcp", f.Address()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestListenInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Listen(t.Context(), Port{Name: "web", Local: taken.Addr().(*net.TCPAddr).Port, Remote: 80}, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "in use by another program") || !strings.Contains(stages.Hint(err), "web:LOCAL:80") {
		t.Errorf("error is %v, hint %q", err, stages.Hint(err))
	}
}
