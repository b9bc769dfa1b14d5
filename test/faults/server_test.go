package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// F15: the API server is killed while everything rolls out, and starts again a moment later.
func TestF15APIServerRestarted(t *testing.T) {
	fault{inflict: func(r *run) {
		r.restartedServer(lab.APIServer)
	}, exits: leasesLost}.test(t)
}

// F15: etcd is killed.
func TestF15EtcdRestarted(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		r.restartedServer(lab.Etcd)
	}, exits: leasesLost}.test(t)
}

// leasesLost is what programs log that could not renew their leases in time, or that cannot start because of that.
var leasesLost = []string{"leader election lost", "leaderelection lost", cannotStart}

// restartedServer kills the API server or etcd, twice.
func (r *run) restartedServer(name string) {
	r.T.Helper()
	server := r.Component(name)
	for range 2 {
		r.duringAll(name+" restarts", func() {
			r.observer.Mark(history.Mark{Kind: history.Gap, Resource: history.Requests, Text: "what was not answered is not in the audit log"})
			r.rollAll()
			r.pause(100*time.Millisecond, 800*time.Millisecond)
			before := server.PID()
			server.Kill()
			r.happened("the API server does not answer", !r.answers())
			r.pause(0, 2*time.Second)
			r.Must(server.Restart(r.T.Context()))
			r.Must(r.Component(lab.APIServer).Ready(r.T.Context()))
			r.happened(name+" was restarted", server.PID() != before)
			r.restartKubelets()
			r.churn(3)
		})
	}
}

// restartKubelets restarts kwok after the API server failed: it does not repeat a write that fails, as a kubelet does.
func (r *run) restartKubelets() {
	r.T.Helper()
	r.Must(r.Component(lab.Kwok).Restart(r.T.Context()))
}

// answers reports whether the API server answers within a second.
func (r *run) answers() bool {
	ctx, cancel := context.WithTimeout(r.T.Context(), time.Second)
	defer cancel()
	_, err := r.API.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err == nil
}

// F15: the API server is suspended: connections stay open and nothing is answered.
func TestF15APIServerHangs(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		r.duringAll("the API server is suspended", func() {
			r.rollAll()
			r.pause(100*time.Millisecond, 800*time.Millisecond)
			server := r.Component(lab.APIServer)
			r.Must(server.Pause())
			r.T.Cleanup(func() { _ = server.Resume() })
			r.happened("the API server does not answer", !r.answers())
			r.pause(6*time.Second, 9*time.Second)
			r.Must(server.Resume())
			r.restartKubelets()
			r.churn(4)
		})
	}, exits: leasesLost}.test(t)
}

// etcd returns a client of the lab's etcd.
func (r *run) etcd() *clientv3.Client {
	r.T.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + r.Component(lab.Etcd).Address()}, DialTimeout: patience})
	r.Must(err)
	r.T.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

// F15: the watches of the controller and the scheduler end, what they miss is compacted, and the API server restarts without it, so
// that they cannot continue where they were.
func TestF15Compaction(t *testing.T) {
	fault{long: true, inflict: func(r *run) {
		etcd := r.etcd()
		r.duringAll("the missed events are compacted", func() {
			r.observer.Mark(history.Mark{Kind: history.Gap, Resource: history.Requests, Text: "what was not answered is not in the audit log"})
			r.rollAll()
			r.pause(0, 500*time.Millisecond)
			severed := r.stage.controller.Counts().Severed
			missed, err := etcd.Get(r.T.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			r.Must(err)
			r.stage.controller.SeverWatches()
			r.stage.scheduler.SeverWatches()
			r.churn(6)
			now, err := etcd.Get(r.T.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			r.Must(err)
			_, err = etcd.Compact(r.T.Context(), now.Header.Revision)
			r.Must(err)
			server := r.Component(lab.APIServer)
			server.Kill()
			r.Must(server.Restart(r.T.Context()))
			r.restartKubelets()
			r.stage.controller.Reconnect()
			r.stage.scheduler.Reconnect()
			_, err = etcd.Get(r.T.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithRev(missed.Header.Revision))
			r.happened("the missed revisions are compacted, and watches ended", errors.Is(err, rpctypes.ErrCompacted) && r.stage.controller.Counts().Severed > severed)
			r.churn(2)
		})
	}, exits: leasesLost}.test(t)
}

// F15: etcd has no space left. It takes no writes, leases among them, until it was compacted and its alarm was disarmed.
func TestF15EtcdOutOfSpace(t *testing.T) {
	const quota = 24 << 20
	fault{long: true, lab: &lab.Options{Nodes: nodes, ExtraArgs: map[string][]string{lab.Etcd: {fmt.Sprintf("--quota-backend-bytes=%d", quota)}}}, inflict: func(r *run) {
		etcd := r.etcd()
		r.duringAll("etcd has no space left", func() {
			r.rollAll()
			r.fill()
			alarms, err := etcd.AlarmList(r.T.Context())
			r.Must(err)
			r.happened("etcd raised its alarm", len(alarms.Alarms) > 0)
			r.happened("writes are refused", r.patchImage(r.T.Context(), r.fleet[0], r.image()) != nil)
			r.churn(4)
			r.pause(15*time.Second, 20*time.Second) // longer than a lease
			r.free(etcd)
			r.restartKubelets()
		})
	}, exits: leasesLost}.test(t)
}

// ballast is the prefix of keys that fill etcd.
const ballast = "/ballast/"

// fill writes until etcd refuses.
func (r *run) fill() {
	r.T.Helper()
	etcd := r.etcd()
	for i := range 1000 {
		_, err := etcd.Put(r.T.Context(), fmt.Sprint(ballast, i), strings.Repeat("x", 1<<20))
		if err != nil && strings.Contains(err.Error(), "database space exceeded") {
			return
		}
		r.Must(err)
	}
	r.T.Fatal("the fault did not happen: etcd still has space")
}

// free makes room as etcd's manual says: delete, compact, defragment, disarm.
func (r *run) free(etcd *clientv3.Client) {
	r.T.Helper()
	ctx := r.T.Context()
	answer, err := etcd.Delete(ctx, ballast, clientv3.WithPrefix())
	r.Must(err)
	_, err = etcd.Compact(ctx, answer.Header.Revision, clientv3.WithCompactPhysical())
	r.Must(err)
	_, err = etcd.Defragment(ctx, "http://"+r.Component(lab.Etcd).Address())
	r.Must(err)
	_, err = etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	r.Must(err)
}

// inNamespace adds a DaemonSet of each kind in a new namespace to the fleet.
func (r *run) inNamespace(labels map[string]string, prepare func(namespace string), mutators ...func(*v1alpha1.DaemonSet)) string {
	r.T.Helper()
	name := r.nameOf("tenant", labtest.Everynode)
	r.Make(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	r.Eventually("pods can be created in "+name, func(ctx context.Context) (string, error) {
		return "", r.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
	})
	prepare(name)
	for _, kind := range bothKinds {
		all := append([]func(*v1alpha1.DaemonSet){onIncluded, rolling, func(set *v1alpha1.DaemonSet) { set.Namespace = name }}, mutators...)
		r.addToFleet(kind, labtest.DaemonSet(r.nameOf("limited", kind), all...))
	}
	return name
}

// refusals counts the creates of pods in a namespace that were refused with a text.
func refusals(h *history.History, namespace string) int {
	n := 0
	for i := range h.Records {
		request := h.Records[i].Request
		if request != nil && request.Resource == "pods" && request.Verb == "create" && request.Namespace == namespace && request.Code == 403 {
			n++
		}
	}
	return n
}

// refusedFor is how long F15's refusals last: back-off of 1, 2, 4 and 8 s.
const refusedFor = 15 * time.Second

// checkRefusals fails the test unless creates were refused, and for few attempts.
func (r *run) checkRefusals(h *history.History, namespace string) {
	r.T.Helper()
	n := refusals(h, namespace)
	r.happened("creates were refused", n > 0)
	// The first attempts of all nodes may be under way before the first answer.
	if most := len(bothKinds) * (nodes + 6); n > most {
		r.T.Errorf("S8: %d creates were refused, want at most %d", n, most)
	}
}

// F15: a quota is exhausted, and raised.
func TestF15QuotaExhausted(t *testing.T) {
	var namespace string
	fault{long: true, idle: true, inflict: func(r *run) {
		quota := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}}}
		r.during("the quota is exhausted", func() {
			namespace = r.inNamespace(nil, func(name string) {
				quota.Namespace, quota.Name = name, "pods"
				r.Make(quota)
				r.Eventually("the quota has its status", func(ctx context.Context) (string, error) {
					if err := r.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || len(quota.Status.Hard) == 0 {
						return "not yet", err
					}
					return "", nil
				})
			})
			time.Sleep(refusedFor)
			raised := quota.DeepCopy()
			raised.Spec.Hard[corev1.ResourcePods] = resource.MustParse("100")
			r.Must(r.Patch(r.T.Context(), raised, client.MergeFrom(quota)))
		})
	}, judge: func(r *run, h *history.History) { r.checkRefusals(h, namespace) }}.test(t)
}

// F15: Pod Security denies the pods, until the namespace permits them.
func TestF15PodSecurityDenies(t *testing.T) {
	var namespace string
	fault{long: true, idle: true, inflict: func(r *run) {
		r.during("Pod Security denies", func() {
			namespace = r.inNamespace(map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}, func(string) {}, func(set *v1alpha1.DaemonSet) {
				set.Spec.Template.Spec.HostNetwork = true
			})
			time.Sleep(refusedFor)
			labels := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
			r.Must(r.Patch(r.T.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, client.RawPatch(types.MergePatchType, labels)))
		})
	}, judge: func(r *run, h *history.History) { r.checkRefusals(h, namespace) }}.test(t)
}

// F15: a namespace is being deleted, and a pod in it does not end. Its daemons lose their pods and get no others.
func TestF15NamespaceTerminating(t *testing.T) {
	var namespace string
	fault{long: true, idle: true, inflict: func(r *run) {
		namespace = r.inNamespace(nil, func(string) {})
		for _, w := range r.fleet {
			r.waitForFleetPods(w)
		}
		stays := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "stays", Finalizers: []string{"faults.example.com/stays"}},
			Spec: corev1.PodSpec{
				Containers:      []corev1.Container{{Name: "main", Image: "example.com/stays"}},
				SchedulingGates: []corev1.PodSchedulingGate{{Name: "faults.example.com/stays"}},
			},
		}
		r.Must(r.Create(r.T.Context(), stays))
		r.during("the namespace is being deleted", func() {
			r.Must(r.Delete(r.T.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
			time.Sleep(refusedFor)
			r.Must(r.Patch(r.T.Context(), stays, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
			r.Eventually("namespace "+namespace+" is gone", func(ctx context.Context) (string, error) {
				if err := r.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{}); !apierrors.IsNotFound(err) {
					return "it still exists", errors.Join(err)
				}
				return "", nil
			})
		})
		r.fleet = nil
	}, judge: func(r *run, h *history.History) { r.checkRefusals(h, namespace) }}.test(t)
}
