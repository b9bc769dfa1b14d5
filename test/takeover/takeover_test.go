// Package takeover tests on a real control plane that native DaemonSets change hands, from
// kube-controller-manager to Everynode and back, without a restart, and that they are then served
// as their users know it.
package takeover

import (
	"flag"
	"os"
	"testing"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Tests wait for the control plane most of the time: more of them run side by side than there are
// processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// trial is a test's share of the lab.
type trial struct {
	*labtest.Cluster
	witness *labtest.Witness
	fleet   map[string]*member
}

// One lab sees it all: the built-in controller makes the fleet, Everynode takes it over, gives it
// back, and takes it once more. Each time nothing is restarted, and whoever has the fleet goes on
// with it.
func TestTakeover(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{})
	all := &trial{cluster, cluster.Watch(), map[string]*member{}}
	all.makeFleet()
	rollout, drain := &script{name: "rolled", steps: rolloutSteps}, &script{name: "drained", steps: drainSteps}
	first, second := &orphans{name: "orphans"}, &orphans{name: "orphans-again"}
	meanwhile, aged := &meanwhile{}, &aged{}

	all.try("built-in", map[string]func(*trial){
		"the fleet is ready":  prepareFleet,
		"kubectl rollout":     rollout.underBuiltin,
		"kubectl drain":       drain.underBuiltin,
		"orphans are left":    first.leave,
		"others are to alter": meanwhile.prepare,
		"one ages":            aged.prepare,
	})
	all.change("to Everynode", lab.WorkloadsApps, func(t *trial) { meanwhile.happen(t); aged.age(t) })
	all.try("Everynode", map[string]func(*trial){
		"what happened meanwhile":       meanwhile.caughtUp,
		"an old record counts":          aged.knownByItsRecord,
		"rollouts go on":                rolloutsGoOn,
		"the fleet rolls out":           fleetRollsOut,
		"OnDelete waits for deletes":    deletesCount,
		"history goes on":               historyGoesOn,
		"a template comes back":         trickyComesBack,
		"a collision stays settled":     collidedComesBack,
		"undo restarts what must":       undoRestartsLittle,
		"waiting pods are our own":      waitersWait,
		"names vanish with their pods":  namesVanish,
		"kubectl rollout":               rollout.underEverynode,
		"kubectl drain":                 drain.underEverynode,
		"deletion in the background":    deletion("background"),
		"deletion in the foreground":    deletion("foreground"),
		"orphans are adopted":           first.adopt,
		"orphans are left, and adopted": orphansOfOurs,
		"orphans are left":              second.leave,
	})
	all.alone("two controllers meet at one name", race)
	all.try("before going back", halfwayAgain)
	all.change("back to the built-in one", lab.WorkloadsEverynode, nil)
	all.try("built-in again", map[string]func(*trial){
		"rollouts go on":      rolloutsGoOn,
		"the fleet rolls out": builtinRollsOut,
		"history goes on":     historyGoesOn,
		"orphans are adopted": second.adopt,
		"it records again":    aged.recordedAnew,
	})
	all.alone("what is left behind goes", cleanUp)
	all.try("before going on", halfwayAgain)
	all.change("to Everynode again", lab.WorkloadsBoth, nil)
	all.try("Everynode again", map[string]func(*trial){
		"two records are one": aged.recordedOnce,
		"rollouts go on":      rolloutsGoOn,
		"the fleet rolls out": fleetRollsOut,
		"history goes on":     historyGoesOn,
		"namesakes live":      namesakes,
	})
	cluster.Verdict(all.witness, 200)
	cluster.NothingForbidden()
}

// try runs tests side by side.
func (t *trial) try(what string, tests map[string]func(*trial)) {
	t.alone(what, func(group *trial) {
		for name, test := range tests {
			group.aside(name, test)
		}
	})
}

// aside runs a test beside others.
func (t *trial) aside(name string, test func(*trial)) {
	t.T.(*testing.T).Run(name, func(tt *testing.T) {
		tt.Parallel()
		test(&trial{t.With(tt), t.witness, t.fleet})
	})
}

// alone runs a test when all others are done.
func (t *trial) alone(name string, test func(*trial)) {
	t.T.(*testing.T).Run(name, func(tt *testing.T) { test(&trial{t.With(tt), t.witness, t.fleet}) })
}
