package faults

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everynode/everynode/test/faults/proxy"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/race"
)

// patience bounds the wait for something that a fault causes.
var patience = race.Limit(time.Minute)

// F1: the controller is killed at a random write, before the API server gets it, after it, or when its answer is lost; three
// times, while everything rolls out.
func TestF01ControllerKilledAtWrites(t *testing.T) {
	fault{inflict: func(r *run) {
		controller := r.Component(lab.Controller)
		for range 3 {
			r.during("the controller is killed at a write", func() {
				before := controller.PID()
				killed := r.killAt(r.stage.controller, controller, func(*proxy.Write) bool { return true }, 1+r.rng.IntN(15))
				r.rollAll()
				for deadline := time.Now().Add(patience); !closed(killed) && time.Now().Before(deadline); {
					r.churn(1)
				}
				r.happened("the controller was killed", !controller.Running() && before != 0)
				r.churn(2)
				r.restart(controller)
			})
		}
	}}.test(t)
}

func closed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

// killAt kills a program at the nth of its writes that match, at a random point of it, and closes the channel then.
func (r *run) killAt(through *proxy.Proxy, program *lab.Component, matches func(*proxy.Write) bool, nth int) <-chan struct{} {
	killed := make(chan struct{})
	var seen atomic.Int64
	point := r.rng.IntN(3)
	kill := func() {
		program.Kill()
		close(killed)
	}
	through.Harm(func(write *proxy.Write) proxy.Harm {
		if !matches(write) || seen.Add(1) != int64(nth) {
			return proxy.Harm{}
		}
		return []proxy.Harm{{Before: kill, Withhold: true}, {Before: kill, Lose: true}, {After: kill, Lose: true}}[point]
	})
	r.T.Cleanup(func() { through.Harm(nil) })
	return killed
}

// F2: what the controller sees of the cluster is frozen, and then delayed, and then what the scheduler sees.
func TestF02StaleView(t *testing.T) {
	fault{inflict: func(r *run) {
		for _, name := range []string{lab.Controller, lab.EverynodeScheduler} {
			through := r.stage.controller
			if name == lab.EverynodeScheduler {
				through = r.stage.scheduler
			}
			held := through.Counts().Held
			r.during("the view of "+name+" is frozen", func() {
				through.Freeze()
				r.rollAll()
				r.churn(6)
				through.Thaw()
			})
			r.happened("events were held back", through.Counts().Held > held)
			held = through.Counts().Held
			r.during("the view of "+name+" is delayed", func() {
				through.Delay(time.Duration(200+r.rng.IntN(800)) * time.Millisecond)
				r.rollAll()
				r.churn(6)
				through.Delay(0)
			})
			r.happened("events were delayed", through.Counts().Held > held)
		}
	}}.test(t)
}

// F2: only some resources are frozen, so that the controller's caches contradict each other.
func TestF02PartlyStaleView(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		resources := []string{"pods", "nodes", "daemonsets.everynode.dev", "daemonsets.apps", "controllerrevisions.apps"}
		for _, resource := range resources {
			held := r.stage.controller.Counts().Held
			r.during("the controller's view of "+resource+" is frozen", func() {
				r.stage.controller.Freeze(resource)
				r.rollAll()
				r.Must(excludeOneNode(r.T.Context(), r))
				r.churn(4)
				r.stage.controller.Thaw()
			})
			r.happened("events were held back", r.stage.controller.Counts().Held > held)
		}
	}}.test(t)
}

// F2: the controller is killed, and its successor is served a former state until its view catches up (k/k#54096, k/k#59848).
func TestF02ControllerTravelsBack(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		controller, through := r.Component(lab.Controller), r.stage.controller
		r.during("the controller restarts with a former state", func() {
			r.Must(through.Remember(r.T.Context()))
			r.rollAll()
			r.churn(6)
			controller.Kill()
			r.churn(2)
			before := through.Counts().Rewound
			through.Rewind()
			r.restart(controller)
			r.churn(3)
			r.happened("former lists were served", through.Counts().Rewound > before)
			r.pause(time.Second, 3*time.Second)
			through.Thaw()
		})
	}}.test(t)
}

// harms are what F4 does to writes.
var harms = []proxy.Harm{
	{Lose: true}, {Withhold: true}, {Refuse: http.StatusConflict}, {Refuse: http.StatusTooManyRequests},
	{Refuse: http.StatusInternalServerError}, {Refuse: http.StatusServiceUnavailable}, {Refuse: http.StatusGatewayTimeout},
}

// F4: a third of the writes of the controller and the scheduler are refused, or their answers are lost.
func TestF04WritesFail(t *testing.T) {
	fault{inflict: func(r *run) {
		proxies := []*proxy.Proxy{r.stage.controller, r.stage.scheduler}
		before := make([]proxy.Counts, len(proxies))
		r.during("a third of the writes fail", func() {
			for i, through := range proxies {
				before[i] = through.Counts()
				offset := r.rng.IntN(len(harms))
				through.Harm(func(write *proxy.Write) proxy.Harm {
					if write.Number%3 != 0 {
						return proxy.Harm{}
					}
					return harms[(write.Number/3+offset)%len(harms)]
				})
			}
			for range 3 {
				r.rollAll()
				r.churn(5)
			}
			for _, through := range proxies {
				through.Harm(nil)
			}
		})
		for i, through := range proxies {
			after := through.Counts()
			refused := 0
			for code, n := range after.Refused {
				refused += n - before[i].Refused[code]
			}
			r.happened("answers were lost and writes refused", after.Lost > before[i].Lost && refused > 0)
		}
	}}.test(t)
}

// F5: the controller that leads is suspended for longer than its lease, another one leads, and then it goes on where it was.
func TestF05LeaderSuspended(t *testing.T) {
	fault{long: true, exits: []string{"leader election lost"}, inflict: func(r *run) {
		first := r.Component(lab.Controller)
		second, err := r.Replica(r.T.Context(), lab.Controller)
		r.Must(err)
		before := r.holder(lab.Controller)
		r.during("the controller that leads is suspended beyond its lease", func() {
			// In the middle of its work.
			suspended := make(chan struct{})
			var seen atomic.Int64
			nth := int64(1 + r.rng.IntN(10))
			r.stage.controller.Harm(func(*proxy.Write) proxy.Harm {
				if seen.Add(1) != nth {
					return proxy.Harm{}
				}
				return proxy.Harm{Before: func() {
					if err := first.Pause(); err == nil {
						close(suspended)
					}
				}}
			})
			r.rollAll()
			r.within("the controller was suspended at a write", patience, suspended)
			r.stage.controller.Harm(nil)
			r.Eventually("another controller leads", func(ctx context.Context) (string, error) {
				r.churn(1)
				lease, err := r.lease(ctx, lab.Controller)
				if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == before {
					return "not yet", err
				}
				return "", nil
			})
			r.rollAll()
			r.churn(3)
			r.Must(first.Resume())
			r.churn(5)
		})
		r.Must(second.Stop(r.T.Context()))
	}}.test(t)
}

// F5: two controllers work at the same time, because neither uses leader election.
func TestF05TwoControllers(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		first := r.Component(lab.Controller)
		r.Must(first.Stop(r.T.Context()))
		var through []*proxy.Proxy
		r.during("two controllers without leader election", func() {
			var both []*lab.Component
			for range 2 {
				p, err := r.stage.route(lab.Controller)
				r.Must(err)
				r.T.Cleanup(p.Close)
				controller, err := r.Replica(r.T.Context(), lab.Controller, alone)
				r.Must(err)
				through, both = append(through, p), append(both, controller)
			}
			for range 2 {
				r.rollAll()
				r.churn(6)
			}
			for i, controller := range both {
				r.happened(fmt.Sprintf("controller %d wrote", i), through[i].Counts().Writes > 0)
				r.Must(controller.Stop(r.T.Context()))
			}
			r.Must(r.Route(lab.Controller, r.stage.controller.URL))
			r.restart(first)
		})
	}}.test(t)
}

// alone makes a process active from its start, without leader election.
const alone = "--leader-elect=false"

// cannotStart is what a controller logs that is restarted while it is cut off.
const cannotStart = "failed to get server groups"

// F5: the controller is cut off from the API server for longer than its lease.
func TestF05ControllerCutOff(t *testing.T) {
	fault{long: true, exits: []string{"leader election lost", cannotStart}, inflict: func(r *run) {
		second, err := func() (*lab.Component, error) {
			r.Must(r.Route(lab.Controller, ""))
			defer func() { r.Must(r.Route(lab.Controller, r.stage.controller.URL)) }()
			return r.Replica(r.T.Context(), lab.Controller)
		}()
		r.Must(err)
		before := r.holder(lab.Controller)
		severed := r.stage.controller.Counts().Severed
		r.during("the controller that leads is cut off", func() {
			r.rollAll()
			r.pause(100*time.Millisecond, 500*time.Millisecond)
			r.stage.controller.Sever()
			r.Eventually("another controller leads", func(ctx context.Context) (string, error) {
				r.churn(1)
				lease, err := r.lease(ctx, lab.Controller)
				if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == before {
					return "not yet", err
				}
				return "", nil
			})
			r.churn(3)
			r.stage.controller.Reconnect()
		})
		r.happened("requests were refused", r.stage.controller.Counts().Severed > severed)
		r.Must(second.Stop(r.T.Context()))
	}}.test(t)
}
