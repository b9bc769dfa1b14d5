package labtest

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WaitForAPI waits until the API server serves resources of a group and version: what CRDs bring takes it a
// moment. kubectl wait does not do for a CRD that was made just now, whose conditions are null, which it takes for an
// error.
func (c *Cluster) WaitForAPI(groupVersion string, resources ...string) {
	c.T.Helper()
	c.Eventually(groupVersion+" is served", func(context.Context) (string, error) {
		list, err := c.API.Discovery().ServerResourcesForGroupVersion(groupVersion)
		if err != nil {
			return "", err
		}
		for _, name := range resources {
			if !slices.ContainsFunc(list.APIResources, func(served metav1.APIResource) bool { return served.Name == name }) {
				return name + " are not", nil
			}
		}
		return "", nil
	})
}
