package uniqueness

// Args are the plugin's arguments under pluginConfig.
type Args struct {
	// OtherPods is how to treat pods that no daemon owns or that are not pinned to one node. Defaults to
	// Refuse.
	OtherPods OtherPods `json:"otherPods,omitempty"`
}

// OtherPods is how to treat pods that are not a daemon's for one node.
type OtherPods string

// The values of OtherPods.
const (
	// Refuse refuses such a pod with instructions: for a profile of daemons' pods only.
	Refuse OtherPods = "Refuse"
	// Ignore skips such a pod: for a profile of all pods, such as default-scheduler when this scheduler is the
	// cluster's only one.
	Ignore OtherPods = "Ignore"
)
