package kind

import _ "embed"

var (
	//go:embed plain.yaml
	plainConfig string
	//go:embed takeover.yaml
	takeoverConfig string
)

// Values are a chart's.
type Values map[string]any

// Shape is what a cluster is like, and how Everynode is installed in it.
type Shape struct {
	config string
	// Values are the chart's when Everynode is installed; nil means that it is not.
	Values Values
	// native says that Everynode serves the cluster's own DaemonSets.
	native bool
}

// Shapes are those that there are, by name.
var Shapes = map[string]Shape{
	// Kubernetes as kind has it, without Everynode.
	"builtin": {config: plainConfig},
	// Everynode beside what there is: its own DaemonSets, its own scheduler, its webhook.
	"beside": {config: plainConfig, Values: Values{
		"images":       local,
		"certificates": Values{"source": "self-managed"},
	}},
	// Everynode serves native DaemonSets too, and nobody else does: the network waits for it. There is one
	// control plane node, which has a port once.
	"takeover": {config: takeoverConfig, native: true, Values: Values{
		"images":       local,
		"certificates": Values{"source": "self-managed"},
		"workloads":    "everynode,apps",
		"bootstrap":    Values{"enabled": true},
		"controller":   Values{"replicas": 1},
		"scheduler":    Values{"replicas": 1},
	}},
}

// local images were loaded, and are in no registry.
var local = Values{"pullPolicy": "Never"}

// With is the values with others over them: maps are merged, anything else is replaced.
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
