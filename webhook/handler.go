package webhook

import (
	"net/http"

	"github.com/go-logr/logr"
)

// Handler serves placement at PlacementPath and validation at ValidationPath. Others are the
// DaemonSets that selectors are compared with; without any, that one warning is left out.
func Handler(log logr.Logger, others *Others) http.Handler {
	mux := http.NewServeMux()
	for _, served := range []*reviews{
		{path: PlacementPath, hook: placement{}},
		{path: ValidationPath, hook: &validator{others: others}, workers: newWorkers()},
	} {
		// Each path has a room of its own: one that is flooded does not shut out the other.
		served.log, served.room = log, newRoom(roomLimit)
		mux.Handle("POST "+served.path, served)
	}
	return mux
}
