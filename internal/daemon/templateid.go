package daemon

import "github.com/everynode/everynode/api/v1alpha1"

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
func Identify(object *v1alpha1.DaemonSet) (TemplateID, error) {
	return KindOfObject(object).identify(object.Name, &object.Spec.Template, object.Status.CollisionCount)
}
