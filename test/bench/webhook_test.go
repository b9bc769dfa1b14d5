package bench

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
)

// loadTime is how long BenchmarkWebhook sends requests, at eventRate.
const loadTime = 10 * time.Second

// BenchmarkWebhook measures everynode-webhook under 2,000 placements a second, over TLS and HTTP/2
// on loopback, as the API server sends them. Requests are sent at their scheduled time,
// whether or not earlier ones were answered, and the round trip counts from then. The handler's
// times are read from the buckets of the program's own histogram.
func BenchmarkWebhook(b *testing.B) {
	w := startWebhook(b)
	body := placementReview(b)
	for b.Loop() {
		w.load(time.Second, body) // opens connections, and grows the heap
		time.Sleep(settling)
		before, cpu := w.handled(), cpuTime(b, w.process.PID())
		trips, failed := w.load(loadTime, body)
		cpu = cpuTime(b, w.process.PID()) - cpu
		handler := w.handled().since(before)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(failed), "failed") // the machine was too busy for the program's own time limits
		b.ReportMetric(float64(len(body)), "B/request")
		b.ReportMetric(float64(len(trips))/loadTime.Seconds(), "requests/s")
		b.ReportMetric(us(cpu)/float64(len(trips)), "µs-cpu/request")
		b.ReportMetric(memory(b, w.process.PID(), "VmHWM"), "MB-peak")
		b.ReportMetric(us(handler.quantile(0.5)), "µs-handler-p50")
		b.ReportMetric(us(handler.quantile(0.99)), "µs-handler-p99")
		b.ReportMetric(us(handler.quantile(1)), "µs-handler-max-bucket")
		b.ReportMetric(us(trips[len(trips)/2]), "µs-trip-p50")
		b.ReportMetric(us(trips[len(trips)*99/100]), "µs-trip-p99")
		b.ReportMetric(us(trips[len(trips)-1]), "µs-trip-max")
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// webhookServer is the program and a client.
type webhookServer struct {
	b                        *testing.B
	process                  *lab.Component
	address, health, metrics string
	client                   *http.Client
}

func startWebhook(b *testing.B) *webhookServer {
	b.Helper()
	certFile, keyFile, roots := serverCertificate(b)
	w := &webhookServer{b: b, address: freeAddress(b), health: freeAddress(b), metrics: freeAddress(b)}
	w.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
	}}
	b.Cleanup(w.client.CloseIdleConnections)
	w.process = lab.StartProgram(b, lab.Program(b, lab.Webhook), "--bind-address="+w.address, "--health-bind-address="+w.health, "--metrics-bind-address="+w.metrics, "--metrics-secure=false",
		"--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile, "--shutdown-delay=0s")
	ready := &subject{tb: b, process: w.process}
	ready.await("the webhook is ready", func() string {
		response, err := http.Get("http://" + w.health + "/readyz")
		if err != nil {
			return err.Error()
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return response.Status
		}
		return ""
	})
	return w
}

// load sends requests for a time, and returns their round trips, sorted, and the number of failures.
func (w *webhookServer) load(duration time.Duration, body []byte) (trips []time.Duration, failed int64) {
	w.b.Helper()
	trips = make([]time.Duration, int(duration.Seconds()*eventRate))
	var (
		all      sync.WaitGroup
		failures atomic.Int64
	)
	begun := time.Now()
	for i := range trips {
		due := begun.Add(time.Duration(i) * time.Second / eventRate)
		time.Sleep(time.Until(due))
		all.Go(func() {
			if err := w.send(body); err != nil && failures.Add(1) == 1 {
				w.b.Log("the first failure:", err)
			}
			trips[i] = time.Since(due)
		})
	}
	all.Wait()
	slices.Sort(trips)
	return trips, failures.Load()
}

func (w *webhookServer) send(body []byte) error {
	response, err := w.client.Post("https://"+w.address+"/mutate-pods?timeout=3s", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 || !bytes.Contains(answer, []byte(`"allowed":true,"patch":`)) {
		return fmt.Errorf("status %s over %s, body %s", response.Status, response.Proto, answer)
	}
	return nil
}

// buckets is a histogram: the number of answers within each limit.
type buckets []bucket

type bucket struct {
	limit time.Duration
	count int
}

// handled reads the program's histogram of placement.
func (w *webhookServer) handled() buckets {
	w.b.Helper()
	response, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		w.b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.b.Fatal(err)
	}
	var found buckets
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, `everynode_webhook_request_duration_seconds_bucket{path="/mutate-pods",le="`)
		if !ok {
			continue
		}
		limit, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		seconds, err := strconv.ParseFloat(limit, 64)
		if limit == "+Inf" {
			seconds, err = patience.Seconds(), nil
		}
		n, countErr := strconv.Atoi(count)
		if err != nil || countErr != nil {
			w.b.Fatalf("metrics: %q", line)
		}
		found = append(found, bucket{time.Duration(seconds * float64(time.Second)), n})
	}
	return found
}

func (h buckets) since(before buckets) buckets {
	for i := range before {
		h[i].count -= before[i].count
	}
	return h
}

func (h buckets) count() int {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].count
}

// quantile interpolates linearly between the limits of a bucket; the maximum is the upper limit of the
// last bucket that is not empty.
func (h buckets) quantile(q float64) time.Duration {
	rank := q * float64(h.count())
	lower, below := time.Duration(0), 0
	for _, b := range h {
		if float64(b.count) >= rank && b.count > below {
			return lower + time.Duration(float64(b.limit-lower)*(rank-float64(below))/float64(b.count-below))
		}
		lower, below = b.limit, b.count
	}
	return lower
}

// placementReview returns the review of a daemon's pod with two containers, with the managed fields and the volume
// that the API server adds before it calls the webhook.
func placementReview(b *testing.B) []byte {
	b.Helper()
	read := func(file string, into any) {
		text, err := os.ReadFile(filepath.Join("standin", "objects", file))
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	var (
		set   v1alpha1.DaemonSet
		added corev1.Pod
	)
	read("daemonset.yaml", &set)
	read("pod.yaml", &added)
	template := daemon.NewTemplate(daemon.FromEverynode(&set), "")
	pod := daemon.NewPod(template, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-12345", UID: types.UID("c6a2f1de-7e4b-4d8e-9f57-0d2f1f0b6a11")}}, template.PodName("node-12345", "", false))
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.ManagedFields = added.ManagedFields[:1]
	pod.Spec.Volumes = append(pod.Spec.Volumes, added.Spec.Volumes...)
	raw, err := json.Marshal(pod)
	if err != nil {
		b.Fatal(err)
	}
	pods := metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "705ab4f5-6393-11e8-b7cc-42010a800002", Operation: admissionv1.Create, Resource: pods, RequestResource: &pods, Kind: kind, RequestKind: &kind,
			Namespace: pod.Namespace, Name: pod.Name, DryRun: new(false), Object: runtime.RawExtension{Raw: raw},
			UserInfo: authenticationv1.UserInfo{Username: "system:serviceaccount:everynode-system:everynode-controller", UID: "5a7b", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:everynode-system", "system:authenticated"}},
			Options:  runtime.RawExtension{Raw: []byte(`{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`)},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// serverCertificate writes a certificate for servers on loopback.
func serverCertificate(b *testing.B) (certFile, keyFile string, roots *x509.CertPool) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	encodedKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	roots = x509.NewCertPool()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(certificate)
	certFile, keyFile = filepath.Join(b.TempDir(), "tls.crt"), filepath.Join(b.TempDir(), "tls.key")
	for file, data := range map[string][]byte{certFile: certificate, keyFile: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encodedKey})} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return certFile, keyFile, roots
}

// freeAddress returns an address on loopback that is not in use at the moment.
func freeAddress(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
