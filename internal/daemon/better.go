package daemon

import "cmp"

// better orders pods of a cell by which of them stays: live before terminating, bound before waiting, ready
// before not ready, then older; name and UID decide ties, so that the choice never depends on the order of
// events.
func better(a, b *Pod) int {
	return cmp.Or(
		compareBool(b.Terminating, a.Terminating),
		compareBool(b.Finished, a.Finished),
		compareBool(a.Bound, b.Bound),
		compareBool(a.Ready, b.Ready),
		a.Created.Compare(b.Created),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.UID, b.UID),
	)
}

// compareBool sorts true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
