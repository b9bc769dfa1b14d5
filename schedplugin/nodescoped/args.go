package nodescoped

// FitArgs are the arguments of EverynodeNodeResourcesFit under pluginConfig. Their meaning is that of
// NodeResourcesFitArgs; scoringStrategy is not among them because there are no scores.
type FitArgs struct {
	// IgnoredResources are extended resources that are not checked.
	IgnoredResources []string `json:"ignoredResources,omitempty"`
	// IgnoredResourceGroups are such resources by their prefix before the slash: "example.com" ignores
	// example.com/aaa and example.com/bbb.
	IgnoredResourceGroups []string `json:"ignoredResourceGroups,omitempty"`
}
