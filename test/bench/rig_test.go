package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/everynode/everynode/test/lab"
)

// apiWorkers is how many requests the test has under way at a time.
const apiWorkers = 16

// contender is a scheduler whose work is measured, in a process of its own.
type contender struct {
	component string // of the lab
	profile   string // what pods name as their scheduler
}

// The stock one is kube-scheduler with its default profile; ours is what the chart ships.
var (
	ours  = contender{lab.EverynodeScheduler, "everynode-scheduler"}
	stock = contender{lab.Scheduler, corev1.DefaultSchedulerName}
)

// rig is a cluster of an API server with etcd and nothing else: what a contender costs and how fast it
// is depends on these two alone. Nodes have no kubelet, so that a pod's way ends when it is bound.
type rig struct {
	*lab.Lab
	tb         testing.TB
	client     kubernetes.Interface
	metrics    *http.Client
	nodes      int
	namespaces int // made so far
}

func startRig(tb testing.TB, nodes int) *rig {
	tb.Helper()
	l := lab.Start(tb, lab.Options{
		Nodes:     nodes,
		Placement: lab.PlacementDirect,
		Without:   []string{lab.ControllerManager, lab.Scheduler, lab.Kwok, lab.Controller, lab.Webhook, lab.EverynodeScheduler},
		ExtraArgs: map[string][]string{
			// New nodes are born with the taint not-ready, and nobody is there to take it from them.
			lab.APIServer: {"--disable-admission-plugins=TaintNodesByCondition", "--delete-collection-workers=8"},
			// As the chart has it for ours.
			lab.Scheduler: {"--kube-api-qps=1000", "--kube-api-burst=2000", allowProfiling},
			// As the lab has it for the stock one.
			lab.EverynodeScheduler: {"--leader-elect=false", allowProfiling},
		},
	})
	config := rest.CopyConfig(l.Config)
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	return &rig{
		Lab: l, tb: tb, client: client, nodes: nodes,
		metrics: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
}

// inParallel does something n times, a few at a time.
func (r *rig) inParallel(n int, do func(ctx context.Context, i int) error) {
	r.tb.Helper()
	group, ctx := errgroup.WithContext(r.tb.Context())
	group.SetLimit(apiWorkers)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		r.tb.Fatal(err)
	}
}

// namespace makes one in which pods can be created.
func (r *rig) namespace() string {
	r.tb.Helper()
	r.namespaces++
	name := fmt.Sprintf("round-%d", r.namespaces)
	ctx := r.tb.Context()
	if _, err := r.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		r.tb.Fatal(err)
	}
	// kube-controller-manager would make it; admission wants it.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := r.client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		r.tb.Fatal(err)
	}
	return name
}

func (r *rig) create(pods ...*corev1.Pod) {
	r.tb.Helper()
	r.inParallel(len(pods), func(ctx context.Context, i int) error {
		_, err := r.client.CoreV1().Pods(pods[i].Namespace).Create(ctx, pods[i], metav1.CreateOptions{})
		return err
	})
}

// clear deletes the pods of a namespace at once, as a kubelet would at last.
func (r *rig) clear(namespace string) {
	r.tb.Helper()
	now := int64(0)
	err := r.client.CoreV1().Pods(namespace).DeleteCollection(r.tb.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err != nil {
		r.tb.Fatal(err)
	}
}

// awaitPods waits until the pods are as wanted; want may fail the test. The watch costs the API server as
// much whoever schedules.
func (r *rig) awaitPods(pods []*corev1.Pod, want func(*corev1.Pod) bool) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeoutCause(r.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	missing := map[string]bool{}
	for _, pod := range pods {
		missing[pod.Name] = true
	}
	for len(missing) > 0 {
		// From no version on: what there is already comes as events first, also when a watch was cut off
		// because the test was too slow for it.
		watch, err := r.client.CoreV1().Pods(pods[0].Namespace).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			r.tb.Fatalf("%d of %d pods in %s are not as wanted: %v: %v", len(missing), len(pods), pods[0].Namespace, err, context.Cause(ctx))
		}
		for event := range watch.ResultChan() {
			if pod, isPod := event.Object.(*corev1.Pod); isPod && want(pod) {
				delete(missing, pod.Name)
			}
			if len(missing) == 0 {
				break
			}
		}
		watch.Stop()
	}
}

// started is a contender that runs and has seen the cluster.
type started struct {
	*rig
	*lab.Component
}

// start gives a contender that is ready.
func (r *rig) start(c contender) started {
	r.tb.Helper()
	s := started{r, r.Component(c.component)}
	ctx, cancel := context.WithTimeoutCause(r.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	if err := s.Restart(ctx); err != nil {
		r.tb.Fatal(err)
	}
	return s
}

func (s started) stop() {
	s.tb.Helper()
	if err := s.Stop(s.tb.Context()); err != nil {
		s.tb.Fatal(err)
	}
}

// settle waits until the process has nothing to do, and gives the processor time that it took so far. What
// follows a binding, like its event, is in it.
func (s started) settle() time.Duration {
	s.tb.Helper()
	const pause, idle = 500 * time.Millisecond, tick
	last := cpuTime(s.tb, s.PID())
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		time.Sleep(pause)
		now := cpuTime(s.tb, s.PID())
		if now-last <= idle {
			return now
		}
		last = now
	}
	s.tb.Fatalf("%s is still busy after %s; its log: %s", s.Name(), patience, s.LogPath())
	return 0
}

// counter is the sum of a counter's series with one of the labels, or of all when none is given.
func (s started) counter(name string, labels ...string) float64 {
	s.tb.Helper()
	body := s.get("/metrics")
	defer func() { _ = body.Close() }()
	sum := 0.0
	for lines := bufio.NewScanner(body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), "} ")
		has, isIt := strings.CutPrefix(series, name+"{")
		if !isIt || len(labels) > 0 && !containsAny(has, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			s.tb.Fatalf("%s: %v", lines.Text(), err)
		}
		sum += n
	}
	return sum
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// cycles are the scheduling cycles so far, whatever they came to.
func (s started) cycles() float64 { return s.counter("scheduler_schedule_attempts_total") }

// writes are the requests so far that change something. There is no lease among them: nothing is
// elected here.
func (s started) writes() float64 {
	return s.counter("rest_client_requests_total", `method="POST"`, `method="PUT"`, `method="PATCH"`, `method="DELETE"`)
}

func (s started) get(path string) io.ReadCloser {
	s.tb.Helper()
	response, err := s.metrics.Get("https://" + s.Address() + path)
	if err != nil {
		s.tb.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.tb.Fatalf("%s: %s", path, response.Status)
	}
	return response.Body
}

// allowProfiling lets everybody on this machine profile a scheduler.
const allowProfiling = "--authorization-always-allow-paths=/debug/pprof/*"
