package placement

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// service simulates a Service with two replicas: a connection goes to the next ready one,
// and a change of readiness is noticed after a moment.
type service struct {
	listener net.Listener
	ready    atomic.Pointer[[]string]
	next     atomic.Int64
}

// learning is the time between two probes of the replicas' readiness.
const learning = 200 * time.Millisecond

// serveBehind puts a service in front of replicas and makes every entry call it.
func serveBehind(c *labtest.Cluster, replicas ...*lab.Component) *service {
	c.T.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	c.Must(err)
	s := &service{listener: listener}
	s.look(c.T.Context(), replicas)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for ticks := time.NewTicker(learning); ctx.Err() == nil; {
			select {
			case <-ctx.Done():
				ticks.Stop()
			case <-ticks.C:
				s.look(ctx, replicas)
			}
		}
	})
	all.Go(func() { s.accept(ctx) })
	c.T.Cleanup(func() { stop(); _ = listener.Close(); all.Wait() })

	found := c.PlacementWebhooks()
	for i := range found.Webhooks {
		at, err := url.Parse(*found.Webhooks[i].ClientConfig.URL)
		c.Must(err)
		at.Host = listener.Addr().String()
		found.Webhooks[i].ClientConfig.URL = new(at.String())
	}
	c.Must(c.Update(c.T.Context(), found))
	return s
}

// awaitReady waits until the service has n replicas.
func (s *service) awaitReady(c *labtest.Cluster, n int) {
	c.T.Helper()
	c.Eventually("the service has its replicas", func(context.Context) (string, error) {
		if ready := *s.ready.Load(); len(ready) != n {
			return fmt.Sprintf("it has %v", ready), nil
		}
		return "", nil
	})
}

func (s *service) look(ctx context.Context, replicas []*lab.Component) {
	var ready []string
	for _, replica := range replicas {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+replica.PortAddress(1)+"/readyz", nil)
		if err != nil {
			continue
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			ready = append(ready, replica.Address())
		}
	}
	s.ready.Store(&ready)
}

func (s *service) accept(ctx context.Context) {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.forward(ctx, client)
	}
}

// forward forwards one connection until either end closes it.
func (s *service) forward(ctx context.Context, from net.Conn) {
	defer func() { _ = from.Close() }()
	ready := *s.ready.Load()
	if len(ready) == 0 {
		return
	}
	to, err := net.Dial("tcp", ready[int(s.next.Add(1))%len(ready)])
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = from.Close(), to.Close() })
	defer stop()
	go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
	_, _ = io.Copy(from, to)
}

func TestTwoReplicas(t *testing.T) {
	// The shutdown delay is longer than the service needs to notice.
	c := labtest.Start(t, lab.Options{Nodes: nodes, ExtraArgs: map[string][]string{lab.Webhook: {"--shutdown-delay=2s"}}})
	first := c.Component(lab.Webhook)
	second, err := c.Replica(t.Context(), lab.Webhook)
	c.Must(err)
	service := serveBehind(c, first, second)
	waitUntilAdmission(c, func(err error) error { return err })
	t.Run("a rolling restart loses nothing", func(t *testing.T) { restartOneByOne(c.With(t), service, first, second) })
	t.Run("the first dies", func(t *testing.T) { dies(c.With(t), service, first, "first") })
	t.Run("the second dies", func(t *testing.T) { dies(c.With(t), service, second, "second") })
}

// dies: pods are still created, placed by the controller until the service notices, then by admission again.
func dies(c *labtest.Cluster, service *service, replica *lab.Component, name string) {
	witness, others, died := c.Watch(), createOthers(c), time.Now()
	replica.Kill()
	during := labtest.DaemonSet(name + "-died")
	c.Make(during)
	c.WaitForPods(during, labtest.NodeNames(nodes)...)
	service.awaitReady(c, 1)
	waitUntilAdmission(c, func(err error) error { return err })
	checkEffective(c, "1") // current at once, while a condition may be stale
	waitForCondition(c, during, metav1.ConditionTrue)
	after := labtest.DaemonSet(name + "-missing")
	c.Make(after)
	checkPlacedBy(c, c.WaitForPods(after, labtest.NodeNames(nodes)...), v1alpha1.PlacedByWebhook)
	c.T.Logf("admission places pods again %v after the %s replica died", time.Since(died).Round(time.Millisecond), name)
	others.check()
	c.Must(replica.Restart(c.T.Context()))
	service.awaitReady(c, 2)
	c.Verdict(witness, 2*nodes)
}

// restartOneByOne: readiness fails first, and a replica continues to serve until that is noticed, so no request
// is lost.
func restartOneByOne(c *labtest.Cluster, service *service, replicas ...*lab.Component) {
	ctx, stop := context.WithCancel(c.T.Context())
	var (
		asking sync.WaitGroup
		asked  atomic.Int64
	)
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := c.Create(ctx, labtest.Emitted(), client.DryRunAll); err != nil && ctx.Err() == nil {
					c.T.Errorf("a daemon's pod, while a replica is restarted: %v", err)
				}
				asked.Add(1)
			}
		})
	}
	for _, replica := range replicas {
		c.Must(replica.Restart(c.T.Context()))
		service.awaitReady(c, 2)
	}
	stop()
	asking.Wait()
	if asked.Load() == 0 {
		c.T.Error("no pod was created")
	}
	c.T.Logf("%d pods were created meanwhile", asked.Load())
}
