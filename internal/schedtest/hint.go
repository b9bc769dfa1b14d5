package schedtest

import (
	"testing"

	fwk "k8s.io/kube-scheduler/framework"
)

// HintOf returns a plugin's hint for a kind of event.
func HintOf(tb testing.TB, plugin fwk.EnqueueExtensions, resource fwk.EventResource, action fwk.ActionType) fwk.QueueingHintFn {
	tb.Helper()
	events, err := plugin.EventsToRegister(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, event := range events {
		if event.Event.Resource == resource && event.Event.ActionType&action != 0 {
			return event.QueueingHintFn
		}
	}
	tb.Fatalf("no hint for %s %v", resource, action)
	return nil
}
