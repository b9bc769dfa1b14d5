package kind

import _ "embed"

var (
	//go:embed plain.yaml
	plainConfig string
	//go:embed takeover.yaml
	takeoverConfig string
)

// Values are the values of a chart.
type Values map[string]any

// Shape is a kind of cluster, and how Everynode is installed in it.
type Shape struct {
	config string
	// Values are the chart's values; nil if Everynode is not installed.
	Values Values
	// native is whether Everynode serves the cluster's native DaemonSets.
	native bool
}

// Shapes are all shapes by name.
var Shapes = map[string]Shape{
	// Kubernetes as kind installs it, without Everynode.
	"builtin": {config: plainConfig},
	// Everynode beside the built-in components: its own DaemonSets, scheduler and webhook.
	"beside": {config: plainConfig, Values: Values{
		"images":       local,
		"certificates": Values{"source": "self-managed"},
	}},
	// Only Everynode serves native DaemonSets: the network waits for it. There is only one control plane node,
	// so its ports are available once.
	"takeover": {config: takeoverConfig, native: true, Values: Values{
		"images":       local,
		"certificates": Values{"source": "self-managed"},
		"workloads":    "everynode,apps",
		"bootstrap":    Values{"enabled": true},
		"controller":   Values{"replicas": 1},
		"scheduler":    Values{"replicas": 1},
	}},
}

// local is for images that were loaded, and are in no registry.
var local = Values{"pullPolicy": "Never"}

// With merges other values over these: maps are merged, anything else is replaced.
func (v Values) With(over Values) Values {
	merged := Values{}
	for name, value := range v {
		merged[name] = value
	}
	for name, value := range over {
		below, was := merged[name].(Values)
		if above, is := value.(Values); was && is {
			value = below.With(above)
		}
		merged[name] = value
	}
	return merged
}
