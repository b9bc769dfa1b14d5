package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const (
	auditPolicyFile = "audit-policy.yaml"
	auditLogFile    = "audit.log"
)

// auditArgs make the API server write an audit log: one file, however long the lab lives, to which each request is written when
// it is answered. What the API server was doing when it was killed is missing.
func (l *Lab) auditArgs() []string {
	if len(l.options.AuditPolicy) == 0 {
		return nil
	}
	return []string{
		"--audit-policy-file=" + l.path(auditPolicyFile),
		"--audit-log-path=" + l.AuditPath(),
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=100000",
	}
}

// AuditPath is the file of the API server's audit log, which exists if the options have a policy for it.
func (l *Lab) AuditPath() string { return l.path("logs", auditLogFile) }

// AuditLog reads an API server's audit log while it is written.
type AuditLog struct {
	path string
	read int64 // bytes so far
}

// NewAuditLog reads a file from an offset.
func NewAuditLog(path string, offset int64) *AuditLog { return &AuditLog{path: path, read: offset} }

// Next returns what was recorded since the last call.
func (l *AuditLog) Next() ([]auditv1.Event, error) {
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(l.read, io.SeekStart); err != nil {
		return nil, err
	}
	var events []auditv1.Event
	for reader := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // the rest is not a whole line yet
		}
		if err != nil {
			return nil, err
		}
		l.read += int64(len(line))
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("%s: %w", l.path, err)
		}
		events = append(events, event)
	}
}
