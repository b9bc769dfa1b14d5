package labtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/everynode/everynode/test/lab"
)

// Programs are Everynode's own, as components of a lab.
var Programs = []string{lab.Controller, lab.Webhook, lab.EverynodeScheduler}

// Usage is what a program of Everynode has used, by the kernel and by its own metrics.
type Usage struct {
	// CPU is the processor time so far, in user and kernel mode.
	CPU time.Duration
	// Resident is the resident memory, Peak the most that it ever was, and Heap the size of the heap at which the next garbage collection begins, in
	// bytes. Heap is a multiple of what the last collection left, so that it does not depend on the moment.
	Resident, Peak, Heap float64
	// Collections are those of garbage so far.
	Collections float64
	Goroutines  float64
	// Writes are the requests to the API server that were not reads: creates, updates, patches and deletes, those of leases included.
	Writes float64
}

// clockTick is the unit in which Linux reports processor time, on every architecture that Go supports.
const clockTick = time.Second / 100

// Usage returns what a program has used since it was started.
func (c *Cluster) Usage(ctx context.Context, program string) (Usage, error) {
	pid := c.Component(program).PID()
	if pid == 0 {
		return Usage{}, fmt.Errorf("%s does not run", program)
	}
	var used Usage
	if err := used.readKernel(pid); err != nil {
		return Usage{}, err
	}
	return used, used.readMetrics(ctx, c, program)
}

func (u *Usage) readKernel(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may contain spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return fmt.Errorf("/proc/%d/stat: %q", pid, stat)
	}
	for _, field := range fields[11:13] { // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		u.CPU += time.Duration(ticks) * clockTick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	for line, value := range map[string]*float64{"VmRSS": &u.Resident, "VmHWM": &u.Peak} {
		_, rest, _ := strings.Cut(string(status), "\n"+line+":")
		text, _, _ := strings.Cut(strings.TrimSpace(rest), " kB")
		kib, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("/proc/%d/status: %s: %w", pid, line, err)
		}
		*value = float64(kib) * 1024
	}
	return nil
}

// readMetrics sums the program's own metrics.
func (u *Usage) readMetrics(ctx context.Context, c *Cluster, program string) error {
	seen := 0
	err := c.eachMetric(ctx, program, func(name, labels string, value float64) {
		switch name {
		case "go_memstats_next_gc_bytes":
			u.Heap = value
			seen++
		case "go_gc_duration_seconds_count":
			u.Collections = value
			seen++
		case "go_goroutines":
			u.Goroutines = value
			seen++
		case "rest_client_requests_total":
			if !strings.Contains(labels, `method="GET"`) {
				u.Writes += value
			}
		}
	})
	if err == nil && seen != 3 {
		err = fmt.Errorf("%s has %d of three metrics: have they other names?", program, seen)
	}
	return err
}

// eachMetric calls a function with every line of a program's metrics.
func (c *Cluster) eachMetric(ctx context.Context, program string, visit func(name, labels string, value float64)) error {
	url := map[string]string{
		lab.Controller: "http://" + c.Component(lab.Controller).PortAddress(1), lab.Webhook: "http://" + c.Component(lab.Webhook).PortAddress(2),
		lab.EverynodeScheduler: "https://" + c.Component(lab.EverynodeScheduler).PortAddress(0),
	}[program] + "/metrics"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.Config.CAData)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		at := strings.LastIndexByte(text, ' ')
		if at < 0 || strings.HasPrefix(text, "#") {
			continue
		}
		value, err := strconv.ParseFloat(text[at+1:], 64)
		if err != nil {
			return fmt.Errorf("metric %q: %w", text, err)
		}
		name, labels, _ := strings.Cut(text[:at], "{")
		visit(name, labels, value)
	}
	return lines.Err()
}

// UsageOfAll returns the usage of each of Everynode's programs; it fails the test if one does not run.
func (c *Cluster) UsageOfAll() map[string]Usage {
	c.T.Helper()
	used := map[string]Usage{}
	for _, program := range Programs {
		of, err := c.Usage(c.T.Context(), program)
		c.Must(err)
		used[program] = of
	}
	return used
}
