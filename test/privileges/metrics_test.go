package privileges

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

// Metrics are served only over TLS, to clients whose token may get them, and at no other port.
func TestWhoReadsMetrics(t *testing.T) {
	secure := []string{"--metrics-secure=true"}
	c := labtest.Start(t, lab.Options{
		Without:   []string{lab.Scheduler, lab.Kwok, lab.EverynodeScheduler, lab.ControllerManager},
		ExtraArgs: map[string][]string{lab.Controller: secure, lab.Webhook: secure},
	})
	stranger, reader := tokenFor(c, "stranger"), tokenFor(c, "reader")
	c.Make(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reads-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "everynode-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: labtest.Namespace, Name: "reader"}},
	})
	health := map[string]string{lab.Controller: c.Component(lab.Controller).PortAddress(0), lab.Webhook: c.Component(lab.Webhook).PortAddress(1)}
	for program, address := range map[string]string{lab.Controller: c.Component(lab.Controller).PortAddress(1), lab.Webhook: c.Component(lab.Webhook).PortAddress(2)} {
		c.Eventually(program+" serves metrics", func(context.Context) (string, error) { // it generates a key first
			connection, err := net.Dial("tcp", address)
			if err != nil {
				return "", err
			}
			return "", connection.Close()
		})
		for name, test := range map[string]struct {
			url, token string
			want       int // 0 for no answer
		}{
			"no token":                      {"https://" + address + "/metrics", "", http.StatusUnauthorized},
			"an invalid token":              {"https://" + address + "/metrics", "forged", http.StatusInternalServerError},
			"without permission":            {"https://" + address + "/metrics", stranger, http.StatusForbidden},
			"who may":                       {"https://" + address + "/metrics", reader, http.StatusOK},
			"with permission, another path": {"https://" + address + "/debug/pprof/", reader, http.StatusNotFound},
			"without TLS":                   {"http://" + address + "/metrics", reader, 0},
			"at the health port":            {"http://" + health[program] + "/metrics", "", http.StatusNotFound},
		} {
			t.Run(program+"/"+name, func(t *testing.T) {
				code, body := get(t, test.url, test.token)
				if code != test.want || strings.Contains(body, "everynode_build_info") != (test.want == http.StatusOK) {
					t.Errorf("status %d and %.200q, want status %d", code, body, test.want)
				}
			})
		}
	}
}

// tokenFor creates a service account and returns a token of it.
func tokenFor(c *labtest.Cluster, name string) string {
	c.T.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: labtest.Namespace, Name: name}}
	c.Make(account)
	request, err := c.API.CoreV1().ServiceAccounts(labtest.Namespace).CreateToken(c.T.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	c.Must(err)
	return request.Status.Token
}

func get(t *testing.T, url, token string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The certificate is generated at startup, so clients cannot verify it.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil { // no answer, because the server expects TLS
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}
