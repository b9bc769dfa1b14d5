package observer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everynode/everynode/test/faults/history"
	"github.com/everynode/everynode/test/lab"
)

// Process is an observer, as the test that started it sees it.
type Process struct {
	// File is where the history is saved.
	File string

	t      testing.TB
	client *http.Client
}

// Start starts an observer of a lab with AuditPolicy, which saves the history in a file. The test's binary must call Main when
// its first argument is Command.
func Start(t testing.TB, l *lab.Lab, title, file string) *Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	audit, err := os.Stat(l.AuditPath())
	if err != nil {
		t.Fatalf("the lab has no audit log: %v", err)
	}
	// A test's own folder may have a longer name than that of a socket may be.
	dir, err := os.MkdirTemp("", "observer-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	p := &Process{File: file, t: t, client: &http.Client{Timeout: answerLimit, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
	lab.StartProgram(t, program, Command, "--etcd=http://"+l.Component(lab.Etcd).Address(), "--audit="+l.AuditPath(),
		fmt.Sprintf("--offset=%d", audit.Size()), "--socket="+socket, "--out="+file, "--title="+title)
	t.Cleanup(p.client.CloseIdleConnections)
	if err := lab.Eventually(t.Context(), "the observer answers", func(context.Context) (string, error) {
		_, err := os.Stat(socket)
		return "", err
	}); err != nil {
		t.Fatal(err)
	}
	p.Mark(history.Mark{Kind: history.Edited, Text: "the observer has begun"})
	return p
}

// Mark records a remark, after everything that was committed before.
func (p *Process) Mark(mark history.Mark) {
	p.t.Helper()
	body, err := json.Marshal(mark)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.post(p.t.Context(), "/mark", body); err != nil {
		p.t.Fatal(err)
	}
}

// Finish saves the history and reads it back from the file.
func (p *Process) Finish() *history.History {
	p.t.Helper()
	h, err := p.Save(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// Save is Finish for a test that may have failed already.
func (p *Process) Save(ctx context.Context) (*history.History, error) {
	if err := p.post(ctx, "/save", nil); err != nil {
		return nil, err
	}
	file, err := os.Open(p.File)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return history.Load(file)
}

func (p *Process) post(ctx context.Context, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://observer"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("the observer does not answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("observer %s: %s %s", path, answer.Status, strings.TrimSpace(string(text)))
	}
	return err
}
