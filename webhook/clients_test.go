package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequireClients(t *testing.T) {
	apiServer, trusted := selfSigned(t, "kube-apiserver")
	stranger, _ := selfSigned(t, "kube-apiserver")
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		names []string
		shown []tls.Certificate
		want  bool // whether it is served
	}{
		"no certificate":             {},
		"a certificate of the CA":    {shown: []tls.Certificate{apiServer}, want: true},
		"one of another CA":          {shown: []tls.Certificate{stranger}},
		"a name that is allowed":     {names: []string{"other", "kube-apiserver"}, shown: []tls.Certificate{apiServer}, want: true},
		"a name that is not":         {names: []string{"other"}, shown: []tls.Certificate{apiServer}},
		"a name of another CA":       {names: []string{"kube-apiserver"}, shown: []tls.Certificate{stranger}},
		"a name, but no certificate": {names: []string{"kube-apiserver"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, newHandler(t), 0, func(config *tls.Config) {
				if err := RequireClients(config, caFile, test.names); err != nil {
					t.Fatal(err)
				}
			})
			// The second connection may resume the session of the first.
			for range 2 {
				client := server.client(t, test.shown...)
				response, err := client.Get("https://" + server.address + PlacementPath)
				if err == nil {
					_ = response.Body.Close()
					client.CloseIdleConnections()
				}
				if served := err == nil && response.StatusCode == http.StatusMethodNotAllowed; served != test.want {
					t.Errorf("served: %v (%v), want %v", served, err, test.want)
				}
			}
			server.stop()
			ended(t, server.done)
		})
	}
}

func TestRequireClientsOfWrongFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"none": filepath.Join(t.TempDir(), "none"), "empty": empty} {
		config := &tls.Config{}
		if err := RequireClients(config, file, nil); err == nil || !strings.Contains(err.Error(), "--client-ca-file") {
			t.Errorf("%s: %v, want an error that names the flag", name, err)
		}
		if config.ClientAuth != tls.NoClientCert || config.ClientCAs != (*x509.CertPool)(nil) {
			t.Errorf("%s: the configuration changed", name)
		}
	}
}
