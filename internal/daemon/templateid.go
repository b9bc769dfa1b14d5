package daemon

// TemplateID identifies a daemon's template.
type TemplateID struct {
	// Content is equal for templates that the daemon's kind takes for the same: those with the same meaning for
	// everynode.dev (Revision), for apps/v1 those whose ControllerRevisions it writes with the same bytes.
	Content string
	// Revision is the template's revision unless it is already recorded with another one.
	Revision string
	// Record is the name of a new ControllerRevision of the template. It changes with the daemon's
	// collisionCount.
	Record string
}

// Identify returns the identity of a daemon's template.
func Identify(w *Workload) (TemplateID, error) {
	return w.Kind.identify(w.Name, w.Template, w.Status.CollisionCount)
}
