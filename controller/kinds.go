package controller

import (
	"fmt"
	"strings"

	"github.com/everynode/everynode/controller/model"
)

// Kinds are the kinds of DaemonSets that are served.
type Kinds = model.Kinds

// The values of ParseKinds.
const (
	everynodeKind = "everynode"
	appsKind      = "apps"
)

// ParseKinds parses a list of kinds, separated by commas.
func ParseKinds(value string) (Kinds, error) {
	var kinds Kinds
	for name := range strings.SplitSeq(value, ",") {
		switch name {
		case everynodeKind:
			kinds.Everynode = true
		case appsKind:
			kinds.Apps = true
		default:
			return Kinds{}, fmt.Errorf("workloads %q: %q is unknown: use everynode, apps or everynode,apps", value, name)
		}
	}
	return kinds, nil
}
