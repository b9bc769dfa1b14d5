package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
)

// RequireClients makes a server accept only clients that present a certificate of a CA in a PEM file and, if
// names are given, have one of them as common name. The API server presents one when its AdmissionConfiguration
// names a kubeconfig for this webhook. The file is read once: add a new CA before removing the old one, and
// restart.
func RequireClients(config *tls.Config, caFile string, names []string) error {
	data, err := os.ReadFile(caFile) //nolint:gosec // G304: the path is a flag of the program
	if err != nil {
		return fmt.Errorf("reading the CA of clients (--client-ca-file): %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(data) {
		return fmt.Errorf("--client-ca-file=%s contains no PEM certificate", caFile)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authorities
	if len(names) == 0 {
		return nil
	}
	// VerifyConnection is called for resumed connections too.
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if name := state.PeerCertificates[0].Subject.CommonName; !slices.Contains(names, name) {
			return fmt.Errorf("the client is %q, not %s (--client-allowed-names)", name, strings.Join(names, " or "))
		}
		return nil
	}
	return nil
}
