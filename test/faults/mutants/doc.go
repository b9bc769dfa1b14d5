// Package mutants proves the checker: each mutant is a bug of the kind that DaemonSet controllers, webhooks and schedulers
// had, and the checker has to report the invariant that it breaks.
//
// A mutant is a small edit of the product's source. go build -overlay applies the edits to copies, so that the product
// has no hooks for tests. All mutants are compiled into one program, each behind a condition, because compiling
// dominates: the environment variable EVERYNODE_MUTANT chooses one, and without it the program is the product as it is.
// The text that an edit replaces must exist exactly once, or the tests fail: mutants do not rot.
//
// Four programs record histories: hunt runs the simulation, hold that of rollouts that hold nodes back, place the webhook and the rewrite, schedule the scheduler.
// Each runs seed after seed until the checker reports the invariant.
package mutants
