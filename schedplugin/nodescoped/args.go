package nodescoped

// FitArgs are what an operator may set under pluginConfig for EverynodeNodeResourcesFit. They mean
// what they mean for NodeResourcesFit (NodeResourcesFitArgs); that plugin's scoringStrategy is
// not among them, for there are no scores.
type FitArgs struct {
	// IgnoredResources are extended resources that a node need not have room for.
	IgnoredResources []string `json:"ignoredResources,omitempty"`
	// IgnoredResourceGroups are such resources by what stands before the slash: "example.com"
	// ignores example.com/aaa and example.com/bbb.
	IgnoredResourceGroups []string `json:"ignoredResourceGroups,omitempty"`
}
