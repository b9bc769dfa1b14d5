package controller

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/everynode/everynode/controller/fixture"
)

// A dry run has a deadline, a create that is meant has none.
func TestDryRunsEndInTime(t *testing.T) {
	var left time.Duration
	server := interceptor.NewClient(fixture.NewServer(), interceptor.Funcs{
		Create: func(ctx context.Context, _ client.WithWatch, _ client.Object, _ ...client.CreateOption) error {
			left = 0
			if at, bounded := ctx.Deadline(); bounded {
				left = time.Until(at)
			}
			return nil
		},
	})
	if err := (impatient{server}).Create(t.Context(), fixture.Emitted("n1"), client.DryRunAll); err != nil || left <= 0 || left > dryRunPatience {
		t.Errorf("a dry run has %v left, error %v, want at most %v", left, err, dryRunPatience)
	}
	if err := (impatient{server}).Create(t.Context(), fixture.Emitted("n1")); err != nil || left != 0 {
		t.Errorf("a create has %v left, error %v, want no deadline", left, err)
	}
}
