package history

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/everynode/everynode/controller/fixture"
)

// Helpers that this package's tests share with others.
type recorder = fixture.Recorder

var (
	t0                      = fixture.T0
	makeDaemon              = fixture.Daemon
	makeNode                = fixture.Node
	makePod                 = fixture.Pod
	deleting                = fixture.Deleting
	labelled                = fixture.Labelled
	bound                   = fixture.Bound
	terminating             = fixture.Terminating
	ready                   = fixture.Ready
	nativeKind              = fixture.NativeKind
	outcome                 = fixture.Outcome
	wantStrings             = fixture.WantStrings
	errQuota                = fixture.ErrQuota
	errNamespaceTerminating = fixture.ErrNamespaceTerminating

	podsResource = schema.GroupResource{Resource: "pods"}
)

const (
	createStep = fixture.CreateStep
	settled    = fixture.Settled
	looksLater = fixture.LooksLater
	again      = fixture.Again
	failed     = fixture.Failed
)
