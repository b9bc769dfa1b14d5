package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/labtest"
)

// example applies a file of examples/talking, and deletes its objects when the case ends.
func (s *stage) example(name string) {
	s.T.Helper()
	file := "examples/talking/" + name + ".yaml"
	s.T.Cleanup(func() { _, _ = s.kind.Kubectl(context.Background(), "delete", "--filename="+file, "--wait=false") })
	s.kubectl("apply", "--filename="+file)
}

// push: every node's daemon reports to the collector repeatedly.
func push(s *stage) {
	s.example("push")
	type report struct {
		Pod   string
		Count int
	}
	before := map[string]report{}
	s.Eventually("every node has reported, and reports again", func(ctx context.Context) (string, error) {
		text, err := s.API.CoreV1().RESTClient().Get().Namespace(labtest.Namespace).Resource("services").Name("collector:80").SubResource("proxy").DoRaw(ctx)
		if err != nil {
			return "", err
		}
		now := map[string]report{}
		if err := json.Unmarshal(text, &now); err != nil {
			return "", err
		}
		if nodes := slices.Sorted(maps.Keys(now)); !slices.Equal(nodes, s.workers) {
			return fmt.Sprintf("there are reports of %v", nodes), nil
		}
		if len(before) == 0 {
			before = now
		}
		for node, report := range now {
			if report.Count <= before[node].Count {
				return fmt.Sprintf("%s has reported %d times", node, report.Count), nil
			}
		}
		return "", nil
	})
}

// hostPort: a client that knows a node's address reaches that node's daemon: a pod on its own node, and this machine on any node.
func hostPort(s *stage) {
	s.example("host-port")
	var set v1alpha1.DaemonSet
	s.Must(s.Get(s.T.Context(), client.ObjectKey{Namespace: labtest.Namespace, Name: "host-port-server"}, &set))
	s.WaitForPods(&set, s.workers...)
	asks, node := s.clientPod("host-port-client")
	s.waitAnswers(asks, "http://", func(nodes []string) string {
		if !slices.Equal(nodes, []string{node}) {
			return fmt.Sprintf("nodes %v answered, want %s, its own", nodes, node)
		}
		return ""
	})
	var list corev1.NodeList
	s.Must(s.List(s.T.Context(), &list))
	for _, to := range list.Items {
		if !slices.Contains(s.workers, to.Name) {
			continue
		}
		address := to.Status.Addresses[slices.IndexFunc(to.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == corev1.NodeInternalIP })].Address
		for _, from := range s.workers {
			if answer := s.onNode(from, "curl", "--silent", "--show-error", "--max-time", "5", "http://"+address+":8765/"); !strings.Contains(answer, "node="+to.Name+" ") {
				s.T.Errorf("from %s, %s at its port answers %q", from, to.Name, answer)
			}
		}
	}
}

// headless: the Service's name resolves to all daemons, and each of them answers.
func headless(s *stage) {
	s.example("headless")
	asks, _ := s.clientPod("headless-client")
	s.waitAnswers(asks, "http://", func(nodes []string) string {
		if !slices.Equal(nodes, s.workers) {
			return fmt.Sprintf("nodes %v answered, want %v", nodes, s.workers)
		}
		return ""
	})
}

// service: one address represents all daemons, and connections reach each of them; with internalTrafficPolicy Local
// they reach only that of the client's own node.
func service(s *stage) {
	s.example("service")
	asks, node := s.clientPod("service-client")
	s.waitAnswers(asks, "http://service-server/", func(nodes []string) string {
		if !slices.Equal(nodes, s.workers) {
			return fmt.Sprintf("nodes %v answered, want %v", nodes, s.workers)
		}
		return ""
	})
	s.waitAnswers(asks, "http://service-server-local/", func(nodes []string) string {
		if !slices.Equal(nodes, []string{node}) {
			return fmt.Sprintf("nodes %v answered, want %s, its own", nodes, node)
		}
		return ""
	})
}

// clientPod waits for the pod of an example's client, and returns its node.
func (s *stage) clientPod(app string) (pod, node string) {
	s.T.Helper()
	found := s.runningOf(app)
	return found.Name, found.Spec.NodeName
}

var answered = regexp.MustCompile(`(http://\S+): node=(\S+) pod=\S+ client=`)

// waitAnswers reads a client's log until the sorted nodes that answered at a URL are the expected ones.
func (s *stage) waitAnswers(pod, url string, missing func(nodes []string) string) {
	s.T.Helper()
	s.Eventually("the client at "+url+" has its answers", func(ctx context.Context) (string, error) {
		log, err := s.API.CoreV1().Pods(labtest.Namespace).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return "", err
		}
		nodes := map[string]bool{}
		for _, match := range answered.FindAllStringSubmatch(string(log), -1) {
			if strings.HasPrefix(match[1], url) {
				nodes[match[2]] = true
			}
		}
		if len(nodes) == 0 {
			return "no daemon has answered", nil
		}
		return missing(slices.Sorted(maps.Keys(nodes))), nil
	})
}
