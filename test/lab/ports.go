package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// loopback is the only address a lab listens on.
const loopback = "127.0.0.1"

// lowestPort is where the search for free ports begins, above well-known services.
const lowestPort = 15000

// reservation holds free ports by listening on them, until each is passed to its component. It is safe for
// concurrent use: components start in parallel.
type reservation struct {
	mu        sync.Mutex
	listeners map[int]net.Listener
}

// reserve finds n free ports below the kernel's range of ephemeral ports. A component reuses its port after a
// stop, and otherwise the kernel might assign that port to one of its clients that dial in a loop.
func reserve(n int) (*reservation, []int, error) {
	held := &reservation{listeners: map[int]net.Listener{}}
	highest := firstEphemeral() - 1
	if highest-lowestPort < 100 {
		return nil, nil, fmt.Errorf("the kernel's ephemeral ports begin at %d: no room below them for the lab's ports from %d", highest+1, lowestPort)
	}
	ports := make([]int, 0, n)
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000+n {
			held.release(ports...)
			return nil, nil, fmt.Errorf("found only %d of %d free ports between %d and %d", len(ports), n, lowestPort, highest)
		}
		port := lowestPort + rand.IntN(highest-lowestPort+1)
		listener, err := net.Listen("tcp4", hostPort(port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			held.release(ports...)
			return nil, nil, fmt.Errorf("reserving a port: %w", err)
		}
		held.listeners[port] = listener
		ports = append(ports, port)
	}
	return held, ports, nil
}

// release frees ports so that their component can listen on them. Free ports are ignored.
func (r *reservation) release(ports ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, port := range ports {
		if listener, held := r.listeners[port]; held {
			_ = listener.Close()
			delete(r.listeners, port)
		}
	}
}

// releaseAll frees every port that is still held.
func (r *reservation) releaseAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for port, listener := range r.listeners {
		_ = listener.Close()
		delete(r.listeners, port)
	}
}

// firstEphemeral is the first port the kernel gives to outgoing connections.
func firstEphemeral() int {
	const usual = 32768
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	fields := strings.Fields(string(data))
	if len(fields) != 2 {
		return usual
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil {
		return usual
	}
	return first
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
