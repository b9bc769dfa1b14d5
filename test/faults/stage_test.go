package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/everynode/everynode/test/faults/observer"
	"github.com/everynode/everynode/test/faults/proxy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/race"
)

// nodes of the lab that most faults share.
const nodes = 4

// stage is a lab whose controller and scheduler use the API server through a proxy each.
type stage struct {
	*lab.Lab
	controller, scheduler *proxy.Proxy

	keeper keeper
}

// startLimit bounds the start of a stage.
var startLimit = race.Limit(3 * time.Minute)

// newStage starts a lab in a folder.
func newStage(ctx context.Context, options lab.Options) (*stage, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	options.AuditPolicy = observer.AuditPolicy
	options.Workloads = lab.WorkloadsBoth
	withheld := options.Without
	later := []string{lab.Controller, lab.EverynodeScheduler}
	if options.Certificates != "" {
		later = append(later, lab.Webhook) // it waits for the certificate that the controller issues
	}
	options.Without = slices.Concat(withheld, later)
	l, err := lab.New(ctx, options)
	if err != nil {
		return nil, err
	}
	s := &stage{Lab: l}
	s.keeper.start(l)
	if err := errors.Join(s.routeTo(lab.Controller, &s.controller), s.routeTo(lab.EverynodeScheduler, &s.scheduler)); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if len(withheld) > 0 {
		return s, nil // the test starts the others
	}
	for _, name := range later {
		if err := l.Component(name).Restart(ctx); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// routeTo routes a component through a proxy of its own.
func (s *stage) routeTo(name string, through **proxy.Proxy) (err error) {
	*through, err = s.route(name)
	return err
}

// route makes processes of a component that start from now on use the API server through a new proxy.
func (s *stage) route(name string) (*proxy.Proxy, error) {
	cert, key := s.ServingFiles()
	through, err := proxy.Start(s.Config, cert, key)
	if err != nil {
		return nil, err
	}
	return through, s.Route(name, through.URL)
}

// histories is the folder of the observers' files.
func (s *stage) histories() string { return filepath.Join(s.Dir, "histories") }

func (s *stage) stop() error {
	s.keeper.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, through := range []*proxy.Proxy{s.controller, s.scheduler} {
		if through != nil {
			through.Thaw()
			through.Harm(nil)
		}
	}
	err := s.Stop(ctx)
	for _, through := range []*proxy.Proxy{s.controller, s.scheduler} {
		if through != nil {
			through.Close()
		}
	}
	return err
}

// recover ends all disturbances after a run that failed in the middle of one.
func (s *stage) recover() {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for name, through := range map[string]*proxy.Proxy{lab.Controller: s.controller, lab.EverynodeScheduler: s.scheduler} {
		through.Thaw()
		through.Delay(0)
		through.Harm(nil)
		through.Reconnect()
		_ = s.Route(name, through.URL)
	}
	for _, name := range lab.ComponentNames {
		if component := s.Component(name); component.Running() {
			_ = component.Resume()
		} else {
			_ = component.Restart(ctx)
		}
	}
}

// theStage is the lab that the faults share which can be undone.
type theStage struct {
	once  sync.Once
	stage *stage
	dir   string
	err   error
}

var shared theStage

func (s *theStage) get(t *testing.T) *stage {
	t.Helper()
	s.once.Do(func() {
		if s.dir, s.err = os.MkdirTemp("", "everynode-faults-"); s.err == nil { //nolint:usetesting // all tests share it

			s.stage, s.err = newStage(context.Background(), lab.Options{Nodes: nodes, Dir: s.dir})
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.stage
}

// stop ends the lab, and removes its folder unless a test failed.
func (s *theStage) stop(succeeded bool) error {
	if s.stage == nil {
		return nil
	}
	err := s.stage.stop()
	if succeeded && err == nil {
		return os.RemoveAll(s.dir)
	}
	fmt.Fprintf(os.Stderr, "logs and histories: %s\n", s.dir)
	return err
}

// ownStage starts a lab for one run.
func ownStage(t *testing.T, options lab.Options) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "everynode-faults-") //nolint:usetesting // it stays when the test fails
	if err != nil {
		t.Fatal(err)
	}
	options.Dir = dir
	s, err := newStage(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("logs and histories: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return s
}

// keeper restarts programs that exit by themselves, as a kubelet does. Which ones did is part of a run's result.
type keeper struct {
	mu     sync.Mutex
	exits  []lab.Exit
	cancel context.CancelFunc
	ended  chan struct{}
}

// restartDelay is the delay before a program that exited starts again.
const restartDelay = time.Second

func (k *keeper) start(l *lab.Lab) {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel, k.ended = cancel, make(chan struct{})
	go func() {
		defer close(k.ended)
		for {
			select {
			case <-ctx.Done():
				return
			case exit := <-l.Exits():
				k.note(exit)
				k.restart(ctx, exit.Component)
			}
		}
	}()
}

// restart tries until it succeeds: the API server may be unreachable.
func (k *keeper) restart(ctx context.Context, component *lab.Component) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartDelay):
		}
		attempt, cancel := context.WithTimeout(ctx, race.Limit(time.Minute))
		err := component.Restart(attempt)
		cancel()
		if err == nil {
			return
		}
	}
}

func (k *keeper) note(exit lab.Exit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exits = append(k.exits, exit)
}

// take returns the exits since the last call.
func (k *keeper) take() []lab.Exit {
	k.mu.Lock()
	defer k.mu.Unlock()
	exits := k.exits
	k.exits = nil
	return exits
}

func (k *keeper) stop() {
	k.cancel()
	<-k.ended
}
