package webhook

import (
	"net"
	"sync"
)

const (
	// connectionLimit bounds open connections, and hostLimit those of one host. An API server uses one, and
	// another one for each 250 concurrent requests.
	connectionLimit = 256
	hostLimit       = 64
)

// limitConnections closes connections beyond the limits at once. It does not queue them as
// golang.org/x/net/netutil does: a client that holds the permitted ones would then lock out the API server.
func limitConnections(listener net.Listener) net.Listener {
	return &limitedListener{Listener: listener, hosts: map[string]int{}}
}

type limitedListener struct {
	net.Listener

	mu    sync.Mutex
	open  int
	hosts map[string]int
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(connection.RemoteAddr().String())
		if l.admit(host) {
			return &limitedConnection{Conn: connection, closed: sync.OnceFunc(func() { l.release(host) })}, nil
		}
		_ = connection.Close()
	}
}

func (l *limitedListener) admit(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= connectionLimit || l.hosts[host] >= hostLimit {
		return false
	}
	l.open++
	l.hosts[host]++
	return true
}

func (l *limitedListener) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.hosts[host]--; l.hosts[host] == 0 {
		delete(l.hosts, host)
	}
}

type limitedConnection struct {
	net.Conn
	closed func()
}

func (c *limitedConnection) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
