package webhook

import (
	"net/http"

	"github.com/go-logr/logr"
)

// Handler serves placement at PlacementPath and validation at ValidationPath. Others are the
// DaemonSets that selectors are compared with; without any, that one warning is left out.
func Handler(log logr.Logger, others *Others) http.Handler {
	mux := http.NewServeMux()
	for path, hook := range map[string]hook{PlacementPath: placement{}, ValidationPath: &validator{others: others}} {
		mux.Handle("POST "+path, &reviews{path: path, hook: hook, log: log})
	}
	return mux
}
