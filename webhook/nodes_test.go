package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	ktesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/everynode/everynode/api/v1alpha1"
)

func resources(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func nodesWith(sizes ...corev1.ResourceList) (objects []runtime.Object) {
	for i, size := range sizes {
		objects = append(objects, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}, Status: corev1.NodeStatus{Allocatable: size}})
	}
	return objects
}

func requesting(requests corev1.ResourceList) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) {
		set.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: requests}
	}
}

func TestSurgeThatFitsOnNoNodeIsWarnedOf(t *testing.T) {
	small, large := resources("cpu", "2", "memory", "4Gi"), resources("cpu", "8", "memory", "32Gi")
	tests := map[string]struct {
		sizes    []corev1.ResourceList
		requests corev1.ResourceList
		want     []string
	}{
		"no requests":                     {[]corev1.ResourceList{small}, nil, nil},
		"both fit":                        {[]corev1.ResourceList{small}, resources("cpu", "1", "memory", "2Gi"), nil},
		"more than half of the only node": {[]corev1.ResourceList{small}, resources("cpu", "1001m"), []string{"requests of cpu with maxSurge: none of 1 nodes"}},
		"more than half of every node":    {[]corev1.ResourceList{small, small}, resources("cpu", "1", "memory", "3Gi"), []string{"requests of memory with maxSurge: none of 2 nodes"}},
		"more than half of some":          {[]corev1.ResourceList{small, large}, resources("cpu", "1500m"), nil},
		"not even one fits":               {[]corev1.ResourceList{small}, resources("cpu", "3"), nil},
		"a resource that no node has":     {[]corev1.ResourceList{small}, resources("example.com/gpu", "1"), nil},
		"the only device of its node":     {[]corev1.ResourceList{small, resources("example.com/gpu", "1")}, resources("example.com/gpu", "1"), []string{"example.com/gpu"}},
		"no nodes":                        {nil, resources("cpu", "1"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nodes := newNodes(fake.NewClientset(nodesWith(test.sizes...)...).CoreV1().Nodes(), clocktesting.NewFakePassiveClock(time.Unix(0, 0)))
			v := &validator{nodes: nodes}
			warnings := func(change ...func(*v1alpha1.DaemonSet)) []string {
				response, _ := v.answer(t.Context(), createSet(encode(t, validSet(append(change, requesting(test.requests))...))))
				if !response.Allowed {
					t.Fatalf("refused: %+v", response.Result)
				}
				return response.Warnings
			}
			checkWarnings(t, warnings(surge), test.want...)
			for _, warning := range warnings() {
				if strings.Contains(warning, "maxSurge") {
					t.Errorf("without maxSurge: %s", warning)
				}
			}
		})
	}
}

// A tenant that writes many DaemonSets causes one list a minute, also when lists fail.
func TestNodesAreListedOnceAMinute(t *testing.T) {
	for name, failure := range map[string]error{"": nil, "forbidden": errors.New("forbidden")} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(nodesWith(resources("cpu", "2"))...)
			lists := 0
			client.PrependReactor("list", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
				lists++
				return failure != nil, nil, failure
			})
			now := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
			nodes := newNodes(client.CoreV1().Nodes(), now)
			for second := range 120 {
				now.SetTime(time.Unix(int64(second), 0))
				if got, want := len(nodes.allocatable(t.Context())), 1; failure == nil && got != want {
					t.Fatalf("%d nodes after %d s, want %d", got, second, want)
				}
			}
			if lists != 2 {
				t.Errorf("%d lists in two minutes, want 2", lists)
			}
		})
	}
}

// While one request lists, others do not wait.
func TestNodesAreListedByOne(t *testing.T) {
	client := fake.NewClientset()
	entered, leave := make(chan struct{}), make(chan struct{})
	client.PrependReactor("list", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
		close(entered) // a second list would panic
		<-leave
		return false, nil, nil
	})
	nodes := newNodes(client.CoreV1().Nodes(), clocktesting.NewFakePassiveClock(time.Unix(0, 0)))
	done := make(chan struct{})
	go func() { defer close(done); nodes.allocatable(t.Context()) }()
	<-entered
	nodes.allocatable(t.Context())
	close(leave)
	<-done
}

// The list is bounded in number, and a server that never answers holds up nothing.
func TestListOfNodesIsBounded(t *testing.T) {
	query := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		query <- r.URL.RawQuery
		<-r.Context().Done()
	}))
	defer server.Close()
	nodes, err := NewNodes(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got := nodes.allocatable(ctx); len(got) != 0 || ctx.Err() != nil {
		t.Errorf("%d nodes, and the request's context: %v", len(got), ctx.Err())
	}
	if got := <-query; got != fmt.Sprint("limit=", nodeSample) {
		t.Errorf("the query was %q", got)
	}
}

// A request that is given up while it lists, and a list that fails later, leave others the sizes of the nodes.
func TestSizesOutliveTheirRequest(t *testing.T) {
	failing := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing {
			http.Error(w, "etcd has no leader", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", runtime.ContentTypeJSON)
		_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","items":[{"metadata":{"name":"n1"},"status":{"allocatable":{"cpu":"2"}}}]}`))
	}))
	defer server.Close()
	nodes, err := NewNodes(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	now := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	nodes.clock = now
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := len(nodes.allocatable(ctx)); got != 1 {
		t.Errorf("%d nodes after a request that was given up, want 1", got)
	}
	failing = true
	now.SetTime(now.Now().Add(nodesExpire))
	if got := len(nodes.allocatable(t.Context())); got != 1 {
		t.Errorf("%d nodes after a list that failed, want the former 1", got)
	}
}
