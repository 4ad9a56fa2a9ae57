package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"strake.dev/strake/internal/follow"
	"strake.dev/strake/internal/kube"
	"strake.dev/strake/internal/render"
	"strake.dev/strake/internal/report"
	"strake.dev/strake/stages"
)

// An attendant shows what the deployed app logs, and forwards ports to it, as long as a command goes on. It does
// so as the user, not as the App's service account, which may need no right for it.
type attendant struct {
	v   *vigil
	ctx context.Context
	end context.CancelFunc
	// due wants the app's objects to be looked up.
	due      chan struct{}
	work     sync.WaitGroup
	began    time.Time
	logs     *follow.Logs
	forwards []*follow.Forward

	mu      sync.Mutex
	session *session
	cluster *kube.Cluster
	client  kubernetes.Interface
	objects []stages.Object
	warned  map[string]bool
}

// attend begins to attend to the app of a vigil. The caller calls close.
func (v *vigil) attend(ctx context.Context, ports []follow.Port) (*attendant, error) {
	a := &attendant{v: v, due: make(chan struct{}, 1), began: time.Now(), warned: map[string]bool{}}
	a.ctx, a.end = context.WithCancel(ctx)
	for _, p := range ports {
		f, err := follow.Listen(a.ctx, p, a.find, a.dial, a.warn)
		if err != nil {
			a.close()
			return nil, err
		}
		a.forwards = append(a.forwards, f)
	}
	for _, f := range a.forwards {
		name := strings.TrimPrefix(f.Kind+"/"+f.Name, "/")
		v.out.tell(report.Line{
			Event: stages.Event{Type: report.PortForwarded}, Pod: &report.Pod{Name: name, Local: f.Address(), Port: f.Remote},
		}, "", render.Line(fmt.Sprintf("%s leads to port %d of %s", f.Address(), f.Remote, name)))
	}
	a.work.Go(a.look)
	return a, nil
}

// close ends all of it.
func (a *attendant) close() {
	a.end()
	for _, f := range a.forwards {
		_ = f.Close() // nothing is written any more
	}
	a.work.Wait()
	if a.logs != nil {
		a.logs.Close()
	}
}

// begin takes a session that is about to run.
func (a *attendant) begin(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session = s
}

// Observe has the objects of the app looked up when they may have become others.
func (a *attendant) Observe(e stages.Event) {
	switch e.Type {
	case stages.Waiting, stages.StepFinished, stages.StepSkipped:
	default:
		return
	}
	if e.Stage != stages.Deploy {
		return
	}
	select {
	case a.due <- struct{}{}:
	default:
	}
}

// look looks the app's objects up whenever that is due.
func (a *attendant) look() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.due:
		}
		if err := a.lookOnce(); err != nil && !errors.Is(err, stages.ErrNotDeployed) {
			a.warn(err)
		}
	}
}

func (a *attendant) lookOnce() error {
	a.mu.Lock()
	s := a.session
	a.mu.Unlock()
	if a.client == nil {
		if err := a.connect(s); err != nil {
			return err
		}
	}
	opts := s.opts
	opts.Observer = silent{}
	objects, err := s.plan.Inspect(a.ctx, opts)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.objects = objects
	a.mu.Unlock()
	if a.v.o.logs {
		if a.logs == nil {
			a.logs = follow.NewLogs(a.ctx, a.client, a.began, a.line, a.warn)
		}
		a.logs.Pods().Set(objects)
	}
	return nil
}

// connect finds the cluster that a session deploys to.
func (a *attendant) connect(s *session) error {
	app := s.plan.App
	app.ServiceAccountName = ""
	flags := a.v.o.at(s.units[0].Kube)
	own := kube.New(kube.Options{Kubeconfig: flags.kubeconfig, Context: flags.context, UserAgent: a.v.t.userAgent()})
	place, err := own.Place(a.ctx, app, s.opts.Cluster)
	if err != nil {
		return err
	}
	config, err := place.Cluster.Config(a.ctx)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cluster, a.client = place.Cluster, client
	return nil
}

// find returns a pod for a connection.
func (a *attendant) find(ctx context.Context, p follow.Port) (kube.Pod, int, error) {
	a.mu.Lock()
	client, objects := a.client, a.objects
	a.mu.Unlock()
	if client == nil || objects == nil {
		return kube.Pod{}, 0, errors.New("the app isn't deployed yet")
	}
	return follow.Find(ctx, client, objects, p)
}

func (a *attendant) dial(ctx context.Context, pod kube.Pod, port int) (net.Conn, error) {
	a.mu.Lock()
	cluster := a.cluster
	a.mu.Unlock()
	return cluster.Forward(ctx, pod, port)
}

// line shows a line of a log, without secrets and without what would steer a terminal.
func (a *attendant) line(pod *core.Pod, container, text string) {
	text = a.v.t.secrets.CleanLog(strings.ReplaceAll(render.Text(text), "\n", " "))
	a.v.out.tell(report.Line{
		Event: stages.Event{Type: report.PodLog, Message: text},
		Pod:   &report.Pod{Namespace: pod.Namespace, Name: pod.Name, Container: container},
	}, render.Line(pod.Name+"/"+container), text)
}

// warn tells an error once.
func (a *attendant) warn(err error) {
	a.mu.Lock()
	cluster := a.cluster
	again := a.warned[err.Error()]
	a.warned[err.Error()] = true
	a.mu.Unlock()
	if again || a.ctx.Err() != nil {
		return
	}
	if cluster != nil {
		err = cmp.Or(cluster.Explain(err), err)
	}
	a.v.warn(err)
}
