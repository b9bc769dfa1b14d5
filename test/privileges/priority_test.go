package privileges

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// ranks are the priority level and the FlowSchema of the last request.
type ranks struct {
	next          http.RoundTripper
	mu            sync.Mutex
	schema, level string
}

func (r *ranks) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.schema, r.level = response.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID), response.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)
	}
	return response, err
}

// Lease renewals have precedence over other requests, and no request of Everynode shares a priority level with
// all other clients.
func TestRequestsAreRanked(t *testing.T) {
	tests := map[string]struct {
		options lab.Options
		// leases are the namespaces of the leases.
		leases map[string]string
	}{
		"beside kube-scheduler":      {lab.Options{Without: idle}, map[string]string{lab.Controller: own, lab.EverynodeScheduler: own}},
		"in place of kube-scheduler": {lab.Options{Without: idle, Scheduler: lab.SchedulerPrimary}, map[string]string{lab.Controller: own, lab.EverynodeScheduler: system}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := labtest.Start(t, test.options)
			schemas, levels := rankNames(c)
			for _, account := range []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler} {
				config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.Dir, "kubeconfigs", account))
				c.Must(err)
				last := &ranks{}
				config.Wrap(func(next http.RoundTripper) http.RoundTripper { last.next = next; return last })
				as, err := kubernetes.NewForConfig(config)
				c.Must(err)
				// Refused requests are classified as well.
				ranked := func(what, wantSchema, wantLevel string, request func(context.Context)) {
					c.Eventually(account+": "+what+" is classified", func(ctx context.Context) (string, error) {
						request(ctx)
						if schema, level := schemas[last.schema], levels[last.level]; schema != wantSchema || level != wantLevel {
							return fmt.Sprintf("by %s as %s, want by %s as %s", schema, level, wantSchema, wantLevel), nil
						}
						return "", nil
					})
				}
				ranked("a list", "everynode", "workload-high", func(ctx context.Context) {
					_, _ = as.CoreV1().Pods(theirs).List(ctx, metav1.ListOptions{})
				})
				ranked("another lease", "everynode", "workload-high", func(ctx context.Context) {
					_, _ = as.CoordinationV1().Leases(theirs).Get(ctx, "others", metav1.GetOptions{})
				})
				if namespace, leads := test.leases[account]; leads {
					ranked("its lease", "everynode-leases", "leader-election", func(ctx context.Context) {
						_, _ = as.CoordinationV1().Leases(namespace).Get(ctx, account, metav1.GetOptions{})
					})
				}
			}
		})
	}
}

// rankNames returns the names of FlowSchemas and PriorityLevelConfigurations by their UIDs.
func rankNames(c *labtest.Cluster) (schemas, levels map[string]string) {
	c.T.Helper()
	schemas, levels = map[string]string{}, map[string]string{}
	for kind, names := range map[string]map[string]string{"FlowSchemaList": schemas, "PriorityLevelConfigurationList": levels} {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(flowcontrolv1.SchemeGroupVersion.WithKind(kind))
		c.Must(c.List(c.T.Context(), &list, &client.ListOptions{}))
		for _, object := range list.Items {
			names[string(object.UID)] = object.Name
		}
	}
	return schemas, levels
}
