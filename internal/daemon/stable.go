package daemon

import (
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/everynode/everynode/api/v1alpha1"
)

// The stable revision of a daemon with a rollout is the one that became stable last. An annotation of its record says so: a
// number that rises with each promotion, so that a promotion is one write, and the highest number wins. While no record has
// one, the stable revision is what most of the pods have that do not have the update revision; if there are none, it is the update
// revision. The first revision of a daemon is therefore stable from the beginning, and a rollout that gets a spec.rollout while it
// is in progress, or after an upgrade from a release without it, returns to what the pods have. The numbers are removed when
// spec.rollout is: from then on nothing is held back, and they would say nothing of the templates that follow.

// The operations of history on what is stable.
const (
	Promote Op = "Promote" // the record's revision is stable
	Demote  Op = "Demote"  // nothing is recorded as stable
)

// Reasons of these.
const (
	ReasonProven    Reason = "Proven"
	ReasonNoRollout Reason = "NoRollout"
)

// stableNumber reads the annotation of a record. Whatever is no positive number counts as none.
func stableNumber(record *appsv1.ControllerRevision) int64 {
	number, err := strconv.ParseInt(record.Annotations[v1alpha1.StableAnnotation], 10, 64)
	if err != nil || number < 1 {
		return 0
	}
	return number
}

// StableRecord returns the record of the revision that became stable last, nil if there is none. Of equal numbers that of the
// later template wins: anybody who may write records may have written a number that none exceeds.
func StableRecord(records []Record) (stable *Record) {
	for _, record := range slices.SortedFunc(slices.Values(records), older) {
		if record.holdsTemplate() && record.Stable > 0 && (stable == nil || record.Stable >= stable.Stable) {
			stable = &record
		}
	}
	return stable
}

// holdsTemplate reports whether a record is the daemon's and may be rolled back to.
func (r *Record) holdsTemplate() bool { return r.Holder == Ours && !r.Terminating && r.Content != "" }

// Mostly returns the revision with a record that most pods have, without those of a content; empty if no pod has another
// one. Of several the one that was recorded last is returned.
func (c *Cells) Mostly(records []Record, without string) (revision string) {
	most := 0
	for _, record := range slices.SortedFunc(slices.Values(records), older) {
		if n := c.pods[record.Revision]; record.holdsTemplate() && record.Content != without && n > 0 && n >= most {
			most, revision = n, record.Revision
		}
	}
	return revision
}

// promotions returns the steps that record what is stable.
func (h *History) promotions() (steps []HistoryStep) {
	highest := int64(0)
	var record *Record
	for _, of := range slices.SortedFunc(slices.Values(h.Records), older) {
		if of.Holder != Ours || of.Terminating {
			continue
		}
		if highest = max(highest, of.Stable); of.Revision == h.Stable && of.Content != "" {
			record = &of
		}
		if h.Forgets && of.Stable > 0 {
			steps = append(steps, step(Demote, &of, ReasonNoRollout, "the DaemonSet has no rollout"))
		}
	}
	recorded := StableRecord(h.Records)
	if h.Forgets || record == nil || recorded != nil && recorded.Name == record.Name {
		return steps
	}
	return append(steps, numbered(Promote, record, min(highest, math.MaxInt64-1)+1, ReasonProven, "revision %s is stable", record.Revision))
}
