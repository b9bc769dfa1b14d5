package webhook

import (
	"net/http"

	"github.com/go-logr/logr"
)

// Handler serves placement at PlacementPath and validation at ValidationPath. Selectors are compared with those
// of others; if it is nil, only that warning is unavailable.
func Handler(log logr.Logger, others *Others) http.Handler {
	mux := http.NewServeMux()
	for _, served := range []*reviews{
		{path: PlacementPath, hook: placement{}},
		{path: ValidationPath, hook: &validator{others: others}, workers: newWorkers()},
	} {
		// Each path has its own room, so that flooding one does not block the other.
		served.log, served.room = log, newRoom(roomLimit)
		mux.Handle("POST "+served.path, served)
	}
	return mux
}
