package model

import (
	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// The update revision is judged while its rollout is open (internal/daemon/breaker.go). Every change of a cell asks whether the
// evidence is enough; if so, the daemon's history records the verdict, and its record, like those of others, decides.

// judgeRevision has a verdict recorded on the update revision, and reports whether that, or what stops its rollout, has changed.
func (u Update) judgeRevision(key daemon.WorkloadKey, known *tracked) (changed bool) {
	failing, pulling := known.cells.Fails(), known.cells.Pulls()
	if failing && !known.failing {
		u.enqueueHistory(key)
	}
	changed = failing != known.failing || pulling != known.pulling
	known.failing, known.pulling = failing, pulling
	if changed {
		u.Report(key)
	}
	return changed
}

// failed reports whether the update revision has failed, or may have, so that the rollout does not proceed.
func (t *tracked) failed() bool {
	ruling := t.rulingOf()
	return ruling.Failed() && t.hold.Failure.OnFailure != v1alpha1.OnFailureContinue || t.cells.Tripped()
}

// rulingOf returns what is recorded of the update revision.
func (t *tracked) rulingOf() *daemon.Ruling {
	ruling := daemon.ParseRuling(t.ruling)
	return &ruling
}

// judgedBefore adds what is recorded of the update revision to the state of a rollout.
func (t *tracked) judgedBefore(state daemon.RolloutState) daemon.RolloutState {
	if t.ruling == "" || t.hold == nil {
		return state
	}
	ruling := t.rulingOf()
	state.Failed, state.Returns, state.Since = ruling.Failed(), t.hold.Returns(ruling), ruling.EvidenceSince()
	state.Hold = state.Hold.AfterRuling(ruling)
	return state
}

// rulingNotes returns what is to be recorded of the update revision: a verdict, and the verbs that are obeyed. They concern no
// revision that is stable, and none that has no record yet.
func (u Update) rulingNotes(known *tracked, subject *Subject) []daemon.Note {
	if known.hold == nil || !known.settled || known.loading || known.merging || known.stable == "" || known.stable == known.revision {
		return nil
	}
	current, _ := u.records.recorded(subject)
	if current == nil || current.Holder != daemon.Ours || current.Revision != known.revision {
		return nil
	}
	var evidence *daemon.Evidence
	if known.keptUp() {
		evidence = known.cells.Evidence()
	}
	was, _ := daemon.RulingOf(current)
	next := was.Rule(known.revision, known.workload.AbortVerb(), known.workload.RetryVerb(), evidence, u.now)
	return was.Notes(known.revision, &next)
}
