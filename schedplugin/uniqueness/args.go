package uniqueness

// Args are what an operator may set under pluginConfig for the plugin.
type Args struct {
	// OtherPods says what becomes of pods that no daemon owns or that may go to more than one
	// node. Defaults to Refuse.
	OtherPods OtherPods `json:"otherPods,omitempty"`
}

// OtherPods is what becomes of pods that are not a daemon's for one node.
type OtherPods string

// The values of OtherPods.
const (
	// Refuse tells such a pod what to do: for a profile of daemons' pods alone.
	Refuse OtherPods = "Refuse"
	// Ignore has nothing to say about such a pod: for a profile of all pods, such as
	// default-scheduler when this scheduler is the cluster's own.
	Ignore OtherPods = "Ignore"
)
