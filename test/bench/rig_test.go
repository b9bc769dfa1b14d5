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

// apiWorkers is the number of concurrent requests of the test.
const apiWorkers = 16

// contender is a scheduler that is measured, in its own process.
type contender struct {
	component string // of the lab
	profile   string // the pods' spec.schedulerName
}

// The stock one is kube-scheduler with its default profile; ours is everynode-scheduler as in the chart.
var (
	ours  = contender{lab.EverynodeScheduler, "everynode-scheduler"}
	stock = contender{lab.Scheduler, corev1.DefaultSchedulerName}
)

// rig is a cluster that consists only of an API server with etcd: the cost and speed of a contender
// depend on no other component. Nodes have no kubelet, so a pod's life ends with its binding.
type rig struct {
	*lab.Lab
	tb         testing.TB
	client     kubernetes.Interface
	metrics    *http.Client
	nodes      int
	namespaces int // created so far
}

func startRig(tb testing.TB, nodes int) *rig {
	tb.Helper()
	l := lab.Start(tb, lab.Options{
		Nodes:     nodes,
		Placement: lab.PlacementDirect,
		Without:   []string{lab.ControllerManager, lab.Scheduler, lab.Kwok, lab.Controller, lab.Webhook, lab.EverynodeScheduler},
		ExtraArgs: map[string][]string{
			// New nodes get the taint not-ready, and no controller removes it.
			lab.APIServer: {"--disable-admission-plugins=TaintNodesByCondition", "--delete-collection-workers=8"},
			// As in the chart.
			lab.Scheduler: {"--kube-api-qps=1000", "--kube-api-burst=2000", allowProfiling},
			// As in the lab for the stock one.
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

// inParallel calls a function n times, a few at a time.
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

// namespace creates a namespace in which pods can be created.
func (r *rig) namespace() string {
	r.tb.Helper()
	r.namespaces++
	name := fmt.Sprintf("round-%d", r.namespaces)
	ctx := r.tb.Context()
	if _, err := r.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		r.tb.Fatal(err)
	}
	// usually created by kube-controller-manager; admission requires it
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

// clear deletes the pods of a namespace immediately, as a kubelet finally does.
func (r *rig) clear(namespace string) {
	r.tb.Helper()
	now := int64(0)
	err := r.client.CoreV1().Pods(namespace).DeleteCollection(r.tb.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err != nil {
		r.tb.Fatal(err)
	}
}

// awaitPods waits until the pods satisfy want, which may fail the test. The watch costs the API server the
// same for every contender.
func (r *rig) awaitPods(pods []*corev1.Pod, want func(*corev1.Pod) bool) {
	r.tb.Helper()
	ctx, cancel := context.WithTimeoutCause(r.tb.Context(), patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	missing := map[string]bool{}
	for _, pod := range pods {
		missing[pod.Name] = true
	}
	for len(missing) > 0 {
		// Without a resourceVersion, existing pods arrive as events first, also after a watch
		// was closed because the test was too slow.
		watch, err := r.client.CoreV1().Pods(pods[0].Namespace).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			r.tb.Fatalf("%d of %d pods in %s do not satisfy the condition: %v: %v", len(missing), len(pods), pods[0].Namespace, err, context.Cause(ctx))
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

// started is a running contender that has received all objects.
type started struct {
	*rig
	*lab.Component
}

// start returns a contender that is ready.
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

// settle waits until the process is idle, and returns its processor time so far, including work
// that follows a binding, such as its event.
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

// counter returns the sum of a counter's series with one of the labels, or of all if there are none.
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

// cycles returns the number of scheduling cycles so far, with any result.
func (s started) cycles() float64 { return s.counter("scheduler_schedule_attempts_total") }

// writes returns the number of write requests so far. None is for a lease, because leader
// election is off.
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

// allowProfiling lets all users of this machine profile a scheduler.
const allowProfiling = "--authorization-always-allow-paths=/debug/pprof/*"
