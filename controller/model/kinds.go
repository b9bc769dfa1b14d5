package model

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/internal/daemon"
)

// Kinds are the kinds of DaemonSets that are served.
type Kinds struct {
	Everynode bool // everynode.dev
	Apps      bool // apps/v1, in place of kube-controller-manager's controller
}

// Owns reports whether a daemon of a served kind controls an object.
func (k Kinds) Owns(object metav1.Object) bool {
	owner, owned := daemon.OwnedByDaemon(object)
	return owned && k.serves(daemon.KindOf(owner))
}

func (k Kinds) serves(kind daemon.Kind) bool {
	return k.Everynode && kind == daemon.Everynode || k.Apps && kind == daemon.Apps
}
