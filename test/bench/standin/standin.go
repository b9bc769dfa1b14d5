package standin

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/everynode/everynode/api/v1alpha1"
)

// Server is the stand-in.
type Server struct {
	http      *httptest.Server
	objects   *objects
	nodes     int
	resources map[schema.GroupVersionResource]*resource

	mu       sync.Mutex
	version  uint64                         // the last resourceVersion
	unready  map[int]bool                   // pods, by index
	stored   map[string]*v1alpha1.DaemonSet // by name; their contents are never changed
	counters Counters
	watches  int // that have sent all initial objects
}

// Counters are the controller's requests.
type Counters struct {
	StatusWrites map[string]int // by the DaemonSet's name
	Creates      int            // of pods; all were refused
	Deletes      int            // likewise
	Other        []string       // unexpected requests, also refused
}

// Start starts a stand-in for a cluster of nodes with daemons; it ends with the test.
func Start(tb testing.TB, nodes, daemons int) *Server {
	tb.Helper()
	objects, err := newObjects(daemons)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{
		objects: objects, nodes: nodes,
		unready: map[int]bool{},
		stored:  map[string]*v1alpha1.DaemonSet{},
	}
	s.counters.StatusWrites = map[string]int{}
	if s.version, err = strconv.ParseUint(firstVersion, 10, 64); err != nil {
		tb.Fatal(err)
	}
	for _, set := range objects.daemons {
		s.stored[set.object.Name] = set.object
	}
	s.resources = s.allResources()
	s.http = httptest.NewUnstartedServer(s.routes())
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	tb.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// Kubeconfig writes a kubeconfig into a folder of the test, and returns its path.
func (s *Server) Kubeconfig(tb testing.TB) string {
	tb.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["standin"] = &clientcmdapi.Cluster{
		Server:                   s.http.URL,
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}),
	}
	config.Contexts["standin"] = &clientcmdapi.Context{Cluster: "standin"}
	config.CurrentContext = "standin"
	path := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Counters returns the controller's requests so far.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	counters := s.counters
	counters.StatusWrites = maps.Clone(counters.StatusWrites)
	return counters
}

// Statuses returns the last written statuses of the DaemonSets, by name.
func (s *Server) Statuses() map[string]v1alpha1.DaemonSetStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	statuses := map[string]v1alpha1.DaemonSetStatus{}
	for name, set := range s.stored {
		statuses[name] = set.Status
	}
	return statuses
}

// Watches returns how many watches have sent all initial objects.
func (s *Server) Watches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watches
}

// Pods returns the number of pods.
func (s *Server) Pods() int { return s.nodes * len(s.objects.daemons) }

// Toggle makes a pod not ready, or ready again, and sends the event. It blocks if the controller does not read
// its events.
func (s *Server) Toggle(pod int) error {
	s.mu.Lock()
	s.version++
	version := s.version
	s.unready[pod] = !s.unready[pod]
	ready := !s.unready[pod]
	s.mu.Unlock()
	object, err := s.pod(pod)
	if err != nil {
		return err
	}
	object.ResourceVersion = strconv.FormatUint(version, 10)
	setReady(object, ready, time.Now())
	s.resources[podResource].changes <- object
	return nil
}

// pod returns an initial pod: one daemon after the other, on one node after the other.
func (s *Server) pod(index int) (*corev1.Pod, error) {
	set, node := s.objects.daemons[index/s.nodes], s.objects.nodeAt(index%s.nodes)
	return s.objects.podAt(set, node, uid("b0", index))
}

// EncodedPod returns one of the pods in protobuf, of a daemon with only that pod.
func EncodedPod(tb testing.TB) []byte {
	tb.Helper()
	objects, err := newObjects(1)
	if err != nil {
		tb.Fatal(err)
	}
	pod, err := objects.podAt(objects.daemons[0], objects.nodeAt(0), uid("b0", 0))
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := pod.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", s.release)
	mux.HandleFunc("GET /api", s.versions)
	mux.HandleFunc("GET /apis", s.groups)
	mux.HandleFunc("GET /api/{version}", s.discover)
	mux.HandleFunc("GET /apis/{group}/{version}", s.discover)
	mux.HandleFunc("GET /api/{version}/{resource}", s.watch)
	mux.HandleFunc("GET /api/{version}/namespaces/{namespace}/{resource}", s.watch)
	mux.HandleFunc("GET /apis/{group}/{version}/{resource}", s.watch)
	mux.HandleFunc("PUT /apis/everynode.dev/v1alpha1/namespaces/{namespace}/daemonsets/{name}/status", s.writeStatus)
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, func(counters *Counters) { counters.Creates++ })
	})
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/pods/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, func(counters *Counters) { counters.Deletes++ })
	})
	mux.HandleFunc("/", s.unknown)
	return mux
}

func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, func(counters *Counters) { counters.Other = append(counters.Other, r.Method+" "+r.URL.String()) })
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, count func(*Counters)) {
	s.mu.Lock()
	count(&s.counters)
	s.mu.Unlock()
	answerError(w, apierrors.NewForbidden(schema.GroupResource{Resource: r.URL.Path}, r.Method, fmt.Errorf("the stand-in does not support this")))
}

// writeStatus accepts the status of a DaemonSet at its current resourceVersion, and sends the event.
func (s *Server) writeStatus(w http.ResponseWriter, r *http.Request) {
	var sent v1alpha1.DaemonSet
	if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &sent) != nil {
		answerError(w, apierrors.NewBadRequest("this is not a DaemonSet"))
		return
	}
	next, err := s.storeStatus(r.PathValue("name"), &sent)
	if err != nil {
		answerError(w, err)
		return
	}
	s.resources[daemonSetResource].changes <- next
	answer(w, http.StatusOK, next)
}

func (s *Server) storeStatus(name string, sent *v1alpha1.DaemonSet) (*v1alpha1.DaemonSet, *apierrors.StatusError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.StatusWrites[name]++
	group := daemonSetResource.GroupResource()
	stored, ok := s.stored[name]
	switch {
	case !ok:
		return nil, apierrors.NewNotFound(group, name)
	case stored.ResourceVersion != sent.ResourceVersion:
		return nil, apierrors.NewConflict(group, name, fmt.Errorf("its current resourceVersion is %s", stored.ResourceVersion))
	}
	s.version++
	next := stored.DeepCopy()
	next.Status, next.ResourceVersion = sent.Status, strconv.FormatUint(s.version, 10)
	s.stored[name] = next
	return next, nil
}

// answer writes a response in JSON.
func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // the client may have disconnected
}

func answerError(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(status.Code), &status)
}
