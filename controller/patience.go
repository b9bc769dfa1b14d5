package controller

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dryRunPatience is how long a dry run may take: it only decides what to do next, and a webhook may not answer.
const dryRunPatience = 5 * time.Second

// impatient is a client whose dry runs end in time. The engine has no clock but the one that it is given, so it cannot do
// that itself.
type impatient struct{ client.Client }

// Create implements client.Writer.
func (i impatient) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if len((&client.CreateOptions{}).ApplyOptions(options).DryRun) > 0 {
		bounded, cancel := context.WithTimeout(ctx, dryRunPatience)
		defer cancel()
		ctx = bounded
	}
	return i.Client.Create(ctx, object, options...)
}
