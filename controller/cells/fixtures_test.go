package cells

import "github.com/everynode/everynode/controller/fixture"

// Helpers that this package's tests share with others.
type (
	server   = fixture.Server
	recorder = fixture.Recorder
)

var (
	t0             = fixture.T0
	makeDaemon     = fixture.Daemon
	makeNode       = fixture.Node
	makePod        = fixture.Pod
	firstNames     = fixture.FirstNames
	generation     = fixture.Generation
	onlyWhere      = fixture.OnlyWhere
	deleting       = fixture.Deleting
	labelled       = fixture.Labelled
	podUID         = fixture.PodUID
	bound          = fixture.Bound
	terminating    = fixture.Terminating
	ready          = fixture.Ready
	image          = fixture.Image
	surging        = fixture.Surging
	oneUnavailable = fixture.OneUnavailable
	orphaned       = fixture.Orphaned
	relabelled     = fixture.Relabelled
	newServer      = fixture.NewServer
	outcome        = fixture.Outcome
	wantStrings    = fixture.WantStrings

	errQuota                = fixture.ErrQuota
	errNamespaceTerminating = fixture.ErrNamespaceTerminating
	errDenied               = fixture.ErrDenied
)

const (
	settled    = fixture.Settled
	looksLater = fixture.LooksLater
	again      = fixture.Again
	failed     = fixture.Failed
)
