package webhook

import (
	"errors"
	"net"
	"testing"
)

// listed is a listener that returns connections of given hosts, and then ends.
type listed struct {
	net.Listener
	hosts []string
}

type fromHost struct {
	net.Conn
	host   string
	closed int
}

func (c *fromHost) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.host), Port: 1} }

func (c *fromHost) Close() error { c.closed++; return nil }

func (l *listed) Accept() (net.Conn, error) {
	if len(l.hosts) == 0 {
		return nil, net.ErrClosed
	}
	host := l.hosts[0]
	l.hosts = l.hosts[1:]
	return &fromHost{host: host}, nil
}

func times(host string, n int) []string {
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = host
	}
	return hosts
}

// One host gets its share of connections; others can use the rest. A connection that is closed, once or twice,
// makes room for exactly one.
func TestConnectionsAreLimited(t *testing.T) {
	inner := &listed{hosts: append(times("10.0.0.1", 2*hostLimit), "10.0.0.2", "10.0.0.2")}
	listener := limitConnections(inner)
	accepted := map[string][]net.Conn{}
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		host := hostOf(connection.RemoteAddr().String())
		accepted[host] = append(accepted[host], connection)
	}
	if len(accepted["10.0.0.1"]) != hostLimit || len(accepted["10.0.0.2"]) != 2 {
		t.Errorf("%d and %d connections, want %d and 2", len(accepted["10.0.0.1"]), len(accepted["10.0.0.2"]), hostLimit)
	}
	for range 2 {
		_ = accepted["10.0.0.1"][0].Close()
	}
	inner.hosts = times("10.0.0.1", 2)
	if _, err := listener.Accept(); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("one more than the limit: %v", err)
	}
	for i := range 2 * connectionLimit {
		inner.hosts = append(inner.hosts, net.IPv4(10, 1, byte(i>>8), byte(i)).String())
	}
	open := hostLimit + 2
	for {
		if _, err := listener.Accept(); err != nil {
			break
		}
		open++
	}
	if open != connectionLimit {
		t.Errorf("%d connections in all, want %d", open, connectionLimit)
	}
}
