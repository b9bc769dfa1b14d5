package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFromFilesSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, "a")
	_, otherKey := writePair(t, dir, "b")
	tests := map[string]struct{ cert, key, want string }{
		"nothing named":        {"", "", "--tls-cert-file"},
		"no such file":         {filepath.Join(dir, "none"), key, "no such file"},
		"not of one pair":      {cert, otherKey, "of one pair"},
		"key where cert is":    {key, key, "PEM"},
		"certificate, no key":  {cert, "", "--tls-private-key-file"},
		"certificate as a key": {cert, cert, "PEM"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := FromFiles(test.cert, test.key)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("FromFiles: %v, want an error with %q", err, test.want)
			}
		})
	}
}

// A renewed certificate is served to new connections of a running server.
func TestRenewalIsServedWithoutRestart(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, "first")
	live, liveKey := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	move(t, cert, live)
	move(t, key, liveKey)
	source, err := FromFiles(live, liveKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Start: %v", err)
		}
	}()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", ServerConfig(source))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_ = connection.(*tls.Conn).Handshake()
			_ = connection.Close()
		}
	}()

	if got := servedName(t, listener.Addr().String()); got != "first" {
		t.Fatalf("the server presents %q, want first", got)
	}
	cert, key = writePair(t, dir, "second")
	move(t, key, liveKey)
	move(t, cert, live)
	deadline := time.Now().Add(30 * time.Second)
	for servedName(t, listener.Addr().String()) != "second" {
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not served after 30 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func servedName(t *testing.T, address string) string {
	t.Helper()
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if version := connection.ConnectionState().Version; version != tls.VersionTLS13 {
		t.Errorf("TLS version %x, want 1.3", version)
	}
	return connection.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func writePair(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	write(t, certFile, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, keyFile, &pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	return certFile, keyFile
}

func write(t *testing.T, file string, block *pem.Block) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
