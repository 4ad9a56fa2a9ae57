package kapp

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"strake.dev/strake/stages"
)

type stamp struct {
	mu    sync.Mutex
	began time.Time
	marks []string
	n     int
}

func (s *stamp) Observe(e stages.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := time.Since(s.began).Round(time.Millisecond)
	switch {
	case e.Type == stages.ChangeMade:
		s.n++
		if s.n%50 == 1 || s.n >= 299 {
			s.marks = append(s.marks, fmt.Sprint(d, " made ", s.n))
		}
	case e.Type == stages.TaskUpdate && (e.Task.ID == "applying" || e.Task.ID == "waiting"):
	case e.Type == stages.TaskUpdate:
		if len(s.marks) < 400 {
			s.marks = append(s.marks, fmt.Sprint(d, " ", e.Task.Name, " ", e.Task.State))
		}
	}
}

func TestZZ(t *testing.T) {
	p := newPlace(t)
	var mu sync.Mutex
	var log []string
	began := time.Now()
	x := p.proxied()
	x.set(func(w http.ResponseWriter, r *http.Request) bool {
		t0 := time.Now()
		x.next.ServeHTTP(w, r)
		mu.Lock()
		log = append(log, fmt.Sprint(t0.Sub(began).Round(time.Millisecond), " ", time.Since(t0).Round(time.Millisecond), " ", r.Method, " ", r.URL.Path))
		mu.Unlock()
		return true
	})
	s := &stamp{began: time.Now()}
	job := p.job(mixed(300))
	job.Events = s
	if _, err := p.step("").Run(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	t.Log("TOTAL", time.Since(s.began))
	for _, l := range s.marks {
		t.Log(l)
	}
	for _, l := range log {
		t.Log("REQ ", l)
	}
	s = &stamp{began: time.Now()}
	began = time.Now()
	log = nil
	job = p.job("")
	job.Events = s
	if err := p.step("").(stages.Deleter).Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	t.Log("DELETE TOTAL", time.Since(s.began))
	for _, l := range s.marks {
		t.Log("D", l)
	}
	for _, l := range log {
		t.Log("DREQ ", l)
	}
}
