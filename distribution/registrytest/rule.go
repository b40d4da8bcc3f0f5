package registrytest

import (
	"net/http"
	"strings"
)

// A Rule gives the requests it matches to its Fault.
type Rule struct {
	Method string // "" is any
	Path   string // a part of the path; "" is any
	Skip   int    // let so many matching requests pass first
	Times  int    // then act on so many; 0 is all
	Fault  Fault

	met int
}

// A Fault answers a request in place of the registry. next is the registry.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Inject adds rules. The first that matches a request and is not used up acts.
func (s *Server) Inject(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		s.rules = append(s.rules, &r)
	}
}

// Heal removes all rules.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if f := s.fault(r); f != nil {
		f(w, r, s.handler)
		return
	}
	s.handler.ServeHTTP(w, r)
}

func (s *Server) fault(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.rules {
		if rule.Method != "" && rule.Method != r.Method || !strings.Contains(r.URL.Path, rule.Path) {
			continue
		}
		rule.met++
		if rule.met <= rule.Skip || rule.Times > 0 && rule.met > rule.Skip+rule.Times {
			continue
		}
		return rule.Fault
	}
	return nil
}
