package model

import (
	"time"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
)

// waves is the state of the waves of a daemon's rollout. Which one is open is only changed by what is recorded (resolve); the
// clock of its soak is kept here, and recorded as it changes.
type waves struct {
	revision string          // whose rollout it is
	mark     daemon.WaveMark // as it is to be recorded
	running  bool            // this process has seen the clock run
	answer   daemon.Answer   // of the open wave; zero when there is none
	obeyed   string          // the last verb that was obeyed
	obeying  string          // the verb by which the wave passes; empty without one
}

// rolledOut returns the revision that admitted nodes get, for what is known of the revision of the template.
func (t *tracked) rolledOut(of *resolution) string {
	if of.settled || t.update == "" {
		return of.revision
	}
	return t.update
}

// markOf returns the mark of a revision. What this process knows wins over the record, unless a wave has passed there: a soak is
// recorded after it began, and an annotation that somebody removes opens no wave again.
func (t *tracked) markOf(revision string, records []daemon.Record) daemon.WaveMark {
	mark, known := daemon.MarkOf(records, revision), &t.waves
	switch {
	case known.revision != revision:
		return mark
	case mark.Number == 0: // it has no record any more
		return known.mark
	case known.mark.Number == mark.Number && known.mark.Index >= mark.Index:
		return known.mark
	}
	return mark
}

// enterWave keeps the mark of the revision that is rolled out, after resolve.
func (u Update) enterWave(known *tracked) {
	if known.hold == nil {
		known.waves = waves{}
		return
	}
	subject := known.subject()
	records := u.records.of(&subject)
	revision := known.rolledOut(&known.resolution)
	now := waves{revision: revision, mark: known.markOf(revision, records)}
	if same := known.waves; same.revision == revision && same.mark == now.mark {
		now.running = same.running
	}
	known.waves = now
	u.noteObeyed(known)
}

// noteObeyed keeps which verb was obeyed last.
func (u Update) noteObeyed(known *tracked) {
	if known.hold == nil {
		return
	}
	subject := known.subject()
	if record := daemon.NewestOf(u.records.of(&subject), known.waves.revision); record != nil {
		if obeyed := record.Note(v1alpha1.PromotedAnnotation); obeyed != "" {
			known.waves.obeyed = obeyed
		}
	}
}

// holdWave decides whether the open wave passes. Every change of a cell calls it, verbs do, and history does when a soak ends.
func (u Update) holdWave(key daemon.WorkloadKey, known *tracked) {
	before := known.waves
	open := known.openWave()
	if open == nil {
		known.cells.TakeFailure()
		known.waves.answer = daemon.Answer{}
	} else if !known.hold.Paused && !known.closed { // a closed rollout is paused
		gate := daemon.Gate{
			Wave: open, Index: known.wave, Revision: known.update, Complete: known.cells.WaveComplete(), Failure: known.cells.TakeFailure(),
			Running: known.waves.running, Now: u.now,
			Outcome: func(check string) daemon.Outcome { return known.workload.CheckOutcome(check, known.update, open.Name) },
		}
		known.promote(&gate)
		known.waves.answer = gate.Decide(known.waves.mark)
		known.waves.mark = known.waves.answer.Mark
		known.waves.running = !known.waves.mark.Since.IsZero()
		if !known.waves.answer.Pass || !gate.Promoted {
			known.waves.obeying = ""
		}
	}
	if known.waves != before {
		u.enqueueHistory(key)
		u.Report(key)
	}
}

// holdWaveNow is holdWave for a history that is processed, perhaps because a soak has ended.
func (u Update) holdWaveNow(key daemon.WorkloadKey, known *tracked) {
	if known.hold != nil && u.begun && known.keptUp() {
		u.holdWave(key, known)
	}
}

// openWave returns the open wave of a rollout that is under way, nil if there is none.
func (t *tracked) openWave() *daemon.Wave {
	if t.hold == nil || t.stable == "" || t.stable == t.update || !t.settled || !t.keptUp() {
		return nil
	}
	return t.hold.Wave(t.wave)
}

// promote applies a verb that was not obeyed yet to the open wave.
func (t *tracked) promote(gate *daemon.Gate) {
	verb := t.workload.PromoteVerb()
	if verb.Revision != t.update || verb.Value == t.waves.obeyed {
		return
	}
	switch verb.Argument {
	case "":
		t.waves.mark.All, t.waves.obeyed = true, verb.Value
	case gate.Wave.Name:
		gate.Promoted, t.waves.obeying = true, verb.Value
	}
}

// notes are what is to be recorded of the open wave; nil without a rollout.
func (t *tracked) notes() []daemon.Note {
	if t.hold == nil {
		return nil
	}
	notes := []daemon.Note{}
	if t.openWave() == nil || t.waves.revision != t.update {
		return notes
	}
	mark, obeyed := t.waves.mark, t.waves.obeyed
	if t.waves.answer.Pass {
		mark = t.hold.Next(mark, t.wave)
		if t.waves.obeying != "" {
			obeyed = t.waves.obeying
		}
	}
	notes = append(notes, daemon.Note{Revision: t.update, Annotation: v1alpha1.WaveAnnotation, Value: mark.String()})
	if obeyed != "" {
		notes = append(notes, daemon.Note{Revision: t.update, Annotation: v1alpha1.PromotedAnnotation, Value: obeyed})
	}
	return notes
}

// soaksUntil returns when the soak of the open wave ends; zero if that is not known.
func (t *tracked) soaksUntil() time.Time {
	if t.openWave() == nil {
		return time.Time{}
	}
	return t.waves.answer.At
}

// waveHealth describes the open wave, nil if there is none.
func (t *tracked) waveHealth() *daemon.WaveHealth {
	open := t.openWave()
	if open == nil {
		return nil
	}
	return &daemon.WaveHealth{Wave: open, Index: t.wave, Answer: t.waves.answer}
}
