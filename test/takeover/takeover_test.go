// Package takeover tests on a real control plane that native DaemonSets are handed over from
// kube-controller-manager to Everynode and back without a restart, and that each controller then
// serves them as users expect.
package takeover

import (
	"flag"
	"testing"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Tests wait for the control plane most of the time, so more of them run in parallel than there
// are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	labtest.VerifyMain(m)
}

// trial is a test's share of the lab.
type trial struct {
	*labtest.Cluster
	witness *labtest.Witness
	fleet   map[string]*member
}

// All of it happens in one lab: the built-in controller creates the fleet, Everynode takes it
// over, hands it back, and takes it over again. Each time nothing is restarted, and the new controller
// continues.
func TestTakeover(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{})
	all := &trial{cluster, cluster.Watch(), map[string]*member{}}
	all.makeFleet()
	rollout, drain := &script{name: "rolled", steps: rolloutSteps}, &script{name: "drained", steps: drainSteps}
	first, second := &orphans{name: "orphans"}, &orphans{name: "orphans-again"}
	meanwhile, aged := &meanwhile{}, &aged{}

	all.try("built-in", map[string]func(*trial){
		"the fleet is ready":                       prepareFleet,
		"kubectl rollout":                          rollout.underBuiltin,
		"kubectl drain":                            drain.underBuiltin,
		"pods are orphaned":                        first.leave,
		"changes during the handover are prepared": meanwhile.prepare,
		"an old record is prepared":                aged.prepare,
	})
	all.change("to Everynode", lab.WorkloadsApps, func(t *trial) { meanwhile.happen(t); aged.age(t) })
	all.try("Everynode", map[string]func(*trial){
		"changes during the handover":       meanwhile.caughtUp,
		"an old record is recognized":       aged.knownByItsRecord,
		"rollouts continue":                 rolloutsGoOn,
		"the fleet rolls out":               fleetRollsOut,
		"OnDelete waits for deletes":        deletesCount,
		"history continues":                 historyGoesOn,
		"a restored template is recognized": trickyComesBack,
		"a collision stays resolved":        collidedComesBack,
		"undo restarts only changed pods":   undoRestartsLittle,
		"waiting pods are kept":             waitersWait,
		"names vanish with their pods":      namesVanish,
		"kubectl rollout":                   rollout.underEverynode,
		"kubectl drain":                     drain.underEverynode,
		"deletion in the background":        deletion("background"),
		"deletion in the foreground":        deletion("foreground"),
		"orphans are adopted":               first.adopt,
		"pods are orphaned, and adopted":    orphansOfOurs,
		"pods are orphaned":                 second.leave,
	})
	all.alone("two controllers meet at one name", race)
	all.try("before going back", halfwayAgain)
	all.change("back to the built-in one", lab.WorkloadsEverynode, nil)
	all.try("built-in again", map[string]func(*trial){
		"rollouts continue":             rolloutsGoOn,
		"the fleet rolls out":           builtinRollsOut,
		"history continues":             historyGoesOn,
		"orphans are adopted":           second.adopt,
		"it records the template again": aged.recordedAgain,
	})
	all.alone("remaining objects are cleaned up", cleanUp)
	all.try("before the second takeover", halfwayAgain)
	all.change("to Everynode again", lab.WorkloadsBoth, nil)
	all.try("Everynode again", map[string]func(*trial){
		"two records become one": aged.recordedOnce,
		"rollouts continue":      rolloutsGoOn,
		"the fleet rolls out":    fleetRollsOut,
		"history continues":      historyGoesOn,
		"namesakes coexist":      namesakes,
	})
	cluster.Verdict(all.witness, 200)
	cluster.NothingForbidden()
}

// try runs tests in parallel.
func (t *trial) try(what string, tests map[string]func(*trial)) {
	t.alone(what, func(group *trial) {
		for name, test := range tests {
			group.aside(name, test)
		}
	})
}

// aside runs a test in parallel with others.
func (t *trial) aside(name string, test func(*trial)) {
	t.T.(*testing.T).Run(name, func(tt *testing.T) {
		tt.Parallel()
		test(&trial{t.With(tt), t.witness, t.fleet})
	})
}

// alone runs a test after all others.
func (t *trial) alone(name string, test func(*trial)) {
	t.T.(*testing.T).Run(name, func(tt *testing.T) { test(&trial{t.With(tt), t.witness, t.fleet}) })
}
