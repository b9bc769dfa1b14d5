package controller

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/everynode/everynode/controller/notify"
)

// setUpEvents adds the ledger of events to a manager.
func setUpEvents(mgr manager.Manager) (*notify.Ledger, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	ledger := notify.New(mgr.GetClient(), time.Now, host)
	writer, err := controller.NewTyped("events", mgr, controller.TypedOptions[notify.PageKey]{MaxConcurrentReconciles: 4, Reconciler: ledger})
	if err != nil {
		return nil, fmt.Errorf("setting up the controller of events: %w", err)
	}
	if err := writer.Watch(eventSource{ledger}); err != nil {
		return nil, fmt.Errorf("watching for events: %w", err)
	}
	if err := mgr.Add(lastEvents{ledger}); err != nil {
		return nil, fmt.Errorf("adding the end of events: %w", err)
	}
	return ledger, nil
}

// eventSource gives the ledger its queue.
type eventSource struct{ *notify.Ledger }

// Start implements source.TypedSource.
func (s eventSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[notify.PageKey]) error {
	s.Attach(queue.AddAfter)
	return nil
}

func (eventSource) String() string { return "events" }

// lastEvents closes the ledger when the program ends.
type lastEvents struct{ *notify.Ledger }

var _ manager.LeaderElectionRunnable = lastEvents{}

// NeedLeaderElection keeps the ledger open as long as its writers run.
func (lastEvents) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (l lastEvents) Start(ctx context.Context) error {
	<-ctx.Done()
	l.Close()
	return nil
}
