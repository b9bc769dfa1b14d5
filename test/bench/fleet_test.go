package bench

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

var (
	fleetNodes       = flag.Int("fleet-nodes", 1000, "number of nodes of the labs of BenchmarkFleet")
	fleetRounds      = flag.Int("fleet-rounds", 3, "rounds of each side in BenchmarkFleet")
	fleetUnavailable = flag.String("fleet-max-unavailable", "10%", "maxUnavailable of the rolling updates in BenchmarkFleet")
	fleetAlone       = flag.Bool("fleet-alone", true, "measure the stock components in a lab without Everynode as well")
)

// side is one side of a comparison: a kind of DaemonSet, and the programs that handle its pods.
type side struct {
	name                  string
	kind                  schema.GroupVersionKind
	controller, scheduler string
	others                []string
}

var (
	everynode = side{"everynode", labtest.Everynode, lab.Controller, lab.EverynodeScheduler, []string{lab.Webhook}}
	upstream  = side{"stock", labtest.Apps, lab.ControllerManager, lab.Scheduler, nil}
)

// The measured phases of a DaemonSet's life.
const (
	fanOut        = "fan-out"
	rollingUpdate = "rolling-update"
)

// cost is the cost of a phase.
type cost struct {
	wall time.Duration            // until every node has a ready pod of the template
	cpu  map[string]time.Duration // by program, including the seconds that follow
}

func (c cost) all(s side) time.Duration {
	sum := c.cpu[s.controller] + c.cpu[s.scheduler]
	for _, name := range s.others {
		sum += c.cpu[name]
	}
	return sum
}

// round is the cost of each phase for one side.
type round map[string]cost

// entrant is a side in a lab.
type entrant struct {
	*fleet
	side
	title string
}

// BenchmarkFleet compares the processor time of everynode-controller, everynode-scheduler and everynode-webhook for a DaemonSet
// on every node of a cluster with that of kube-controller-manager and kube-scheduler for the same: its creation, and a
// rolling update. Both take turns in one lab. A second lab without Everynode measures the stock components again, because in
// the first lab each of them also receives the events of the others.
func BenchmarkFleet(b *testing.B) {
	shared := startFleet(b, lab.Options{Nodes: *fleetNodes})
	entrants := []entrant{{shared, everynode, "everynode"}, {shared, upstream, "stock"}}
	if *fleetAlone {
		alone := startFleet(b, lab.Options{
			Nodes: *fleetNodes, Placement: lab.PlacementDirect, Without: []string{lab.Controller, lab.EverynodeScheduler},
		})
		entrants = append(entrants, entrant{alone, upstream, "stock-alone"})
	}
	rounds := alternate(b, entrants)
	for _, phase := range []string{fanOut, rollingUpdate} {
		for _, against := range entrants[1:] {
			b.Run(fmt.Sprintf("%s/nodes=%d/against=%s", phase, *fleetNodes, against.title), func(b *testing.B) {
				reportRatios(b, entrants[0], rounds[entrants[0].title], against, rounds[against.title], phase)
			})
		}
	}
}

// BenchmarkFleetPlacement compares the ways in which a pod gets its node affinity: by everynode-webhook, by the API server's
// policy, and by everynode-controller itself.
func BenchmarkFleetPlacement(b *testing.B) {
	var entrants []entrant
	for _, placement := range []string{lab.PlacementWebhook, lab.PlacementPolicy, lab.PlacementDirect} {
		entrants = append(entrants, entrant{startFleet(b, lab.Options{Nodes: *fleetNodes, Placement: placement}), everynode, placement})
	}
	rounds := alternate(b, entrants)
	for _, phase := range []string{fanOut, rollingUpdate} {
		for _, e := range entrants[1:] {
			b.Run(fmt.Sprintf("%s/nodes=%d/%s-against-webhook", phase, *fleetNodes, e.title), func(b *testing.B) {
				reportRatios(b, e, rounds[e.title], entrants[0], rounds[entrants[0].title], phase)
			})
		}
	}
}

// alternate lets the entrants take turns, after one turn each that does not count, in which processes allocate their
// working memory and caches fill.
func alternate(b *testing.B, entrants []entrant) map[string][]round {
	b.Helper()
	rounds := map[string][]round{}
	for number := range 1 + *fleetRounds {
		turn := slices.Clone(entrants)
		if number%2 == 1 {
			slices.Reverse(turn)
		}
		for _, e := range turn {
			took := e.turn(e.side, fmt.Sprintf("%s-%d", e.name, number))
			if number > 0 {
				show("round %d of %s:%s", number, e.title, took)
				rounds[e.title] = append(rounds[e.title], took)
			}
		}
	}
	return rounds
}

func (r round) String() string {
	return fmt.Sprintf("\n  %-14s %s\n  %-14s %s", fanOut, r[fanOut], rollingUpdate, r[rollingUpdate])
}

func (c cost) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%6.1f s; processor time, s:", c.wall.Seconds())
	for _, name := range lab.ComponentNames {
		if cpu, measured := c.cpu[name]; measured {
			fmt.Fprintf(&text, " %s %.2f", name, cpu.Seconds())
		}
	}
	return text.String()
}

// reportRatios reports the medians of the ratios of rounds that followed each other.
func reportRatios(b *testing.B, of entrant, rounds []round, against entrant, others []round, phase string) {
	b.Helper()
	ratio := func(unit string, value func(entrant, cost) time.Duration) {
		values := make([]float64, len(rounds))
		for i := range rounds {
			values[i] = float64(value(of, rounds[i][phase])) / float64(max(value(against, others[i][phase]), tick))
		}
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op") // measured in turns
	ratio("x-controller", func(e entrant, c cost) time.Duration { return c.cpu[e.controller] })
	ratio("x-scheduler", func(e entrant, c cost) time.Duration { return c.cpu[e.scheduler] })
	ratio("x-all", func(e entrant, c cost) time.Duration { return c.all(e.side) })
	ratio("x-apiserver", func(_ entrant, c cost) time.Duration { return c.cpu[lab.APIServer] })
	ratio("x-wall", func(_ entrant, c cost) time.Duration { return c.wall })
}

// turn creates a DaemonSet, updates it and deletes it.
func (f *fleet) turn(s side, name string) round {
	f.tb.Helper()
	d := f.daemon(s, name)
	took := round{
		fanOut:        f.measure(func(ctx context.Context) { d.create(ctx) }),
		rollingUpdate: f.measure(func(ctx context.Context) { d.update(ctx, "v2") }),
	}
	d.remove()
	return took
}
