// Package placement creates emitted pods, and pins them to their nodes itself while the cluster's admission does not.
package placement
