package webhook

import (
	"net/http"

	"github.com/go-logr/logr"
)

// Handler serves placement at PlacementPath and validation at ValidationPath. Selectors are compared with those
// of others, and surges with the sizes of nodes; if one is nil, only its warning is unavailable.
func Handler(log logr.Logger, others *Others, nodes *Nodes) http.Handler {
	mux := http.NewServeMux()
	for _, served := range []*reviews{
		{path: PlacementPath, hook: placement{}},
		{path: ValidationPath, hook: &validator{others: others, nodes: nodes}, workers: newWorkers()},
	} {
		// Each path has its own room, so that flooding one does not block the other.
		served.log, served.room = log, newRoom(roomLimit)
		mux.Handle("POST "+served.path, served)
	}
	return mux
}
