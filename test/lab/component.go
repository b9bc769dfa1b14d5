package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/everynode/everynode/test/race"
)

// stopGrace is how long a component may take to end after SIGTERM.
var stopGrace = race.Limit(10 * time.Second)

const (
	// readyPoll is the interval of readiness probes.
	readyPoll = 40 * time.Millisecond
	// tailBytes of its log are shown when a component fails.
	tailBytes = 4096
)

// Component is a handle on one process of a lab. Its methods are safe for concurrent use, and run one after the
// other.
type Component struct {
	kind    string // one of ComponentNames
	name    string
	address string
	path    string
	env     []string
	log     string
	ports   []int
	held    *reservation
	// probe returns nil once the component serves.
	probe func(ctx context.Context) error
	// cleanse runs between stop and start of Restart; nil means nothing.
	cleanse func(ctx context.Context) error
	// died is called for an exit without a request.
	died func(Exit)

	mu   sync.Mutex
	args []string // of the next start
	proc *process
}

// Name is one of ComponentNames, or that of a replica.
func (c *Component) Name() string { return c.name }

// Address is where the component serves, as host:port; for most also its health.
func (c *Component) Address() string { return c.address }

// PortAddress is the i-th address the component serves on, as host:port: 0 is Address, and
// Everynode's controller serves its metrics on 1, its webhook its health on 1 and its metrics on 2.
func (c *Component) PortAddress(i int) string { return hostPort(c.ports[i]) }

// LogPath is the file that all output of the component goes to, restarts included.
func (c *Component) LogPath() string { return c.log }

// PID is the process's id, 0 when it does not run.
func (c *Component) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil || !c.proc.running() {
		return 0
	}
	return c.proc.cmd.Process.Pid
}

// Running reports whether the process exists, even if it is paused.
func (c *Component) Running() bool { return c.PID() != 0 }

// start runs the process; it does not wait until it is ready.
func (c *Component) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked()
}

func (c *Component) startLocked() error {
	if c.proc != nil && c.proc.running() {
		return fmt.Errorf("%s runs already", c.name)
	}
	c.held.release(c.ports...)
	proc, err := startProcess(c.path, c.args, c.env, c.log)
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	c.proc = proc
	go func() {
		<-proc.ended
		if !proc.asked.Load() {
			c.died(Exit{c, c.failure(proc)})
		}
	}()
	return nil
}

// Ready waits until the component serves. It fails at once, with the tail of its log, if the process does not
// exist, and otherwise when ctx ends.
func (c *Component) Ready(ctx context.Context) error {
	c.mu.Lock()
	proc := c.proc
	c.mu.Unlock()
	if proc == nil {
		return fmt.Errorf("%s was not started", c.name)
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := c.probe(ctx)
		if !proc.running() {
			return c.failure(proc)
		}
		if err == nil {
			return nil
		}
		select {
		case <-proc.ended:
			return c.failure(proc)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (last answer: %w; log: %s)", c.name, context.Cause(ctx), err, c.log)
		case <-tick.C:
		}
	}
}

// failure describes how the process ended, with the tail of its log.
func (c *Component) failure(proc *process) error {
	how := "exit status 0"
	if proc.err != nil {
		how = proc.err.Error()
	}
	return fmt.Errorf("%s ended: %s; the end of %s:\n%s", c.name, how, c.log, c.tail())
}

// tail returns the end of the component's log, in whole lines.
func (c *Component) tail() string {
	file, err := os.Open(c.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	cut := false
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		_, err = file.Seek(-tailBytes, io.SeekEnd)
		cut = err == nil
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	text := string(data)
	if _, whole, found := strings.Cut(text, "\n"); cut && found {
		text = whole
	}
	return strings.TrimRight(text, "\n")
}

// Stop sends SIGTERM to the process, also when it is paused, and kills it if it still exists after ten seconds
// or when ctx ends. It returns once the process is gone; having to kill it is an error. Stopping a component
// that does not run succeeds.
func (c *Component) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopLocked(ctx)
}

func (c *Component) stopLocked(ctx context.Context) error {
	if c.proc == nil || !c.proc.running() {
		return nil
	}
	c.proc.asked.Store(true)
	c.proc.signal(syscall.SIGTERM)
	c.proc.signal(syscall.SIGCONT)
	ctx, cancel := context.WithTimeoutCause(ctx, stopGrace, fmt.Errorf("it did not end within %s", stopGrace))
	defer cancel()
	select {
	case <-c.proc.ended:
		return c.raced(c.proc)
	case <-ctx.Done():
		c.proc.signal(syscall.SIGKILL)
		<-c.proc.ended
		return fmt.Errorf("%s was killed: %w", c.name, context.Cause(ctx))
	}
}

// raced returns the failure of a process that ended because of a data race, even after a stop.
func (c *Component) raced(proc *process) error {
	if proc.cmd.ProcessState.ExitCode() == race.ExitCode {
		return c.failure(proc)
	}
	return nil
}

// Kill ends the process at once (SIGKILL), as a crash does, and returns when it is gone.
func (c *Component) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil || !c.proc.running() {
		return
	}
	c.proc.asked.Store(true)
	c.proc.signal(syscall.SIGKILL)
	<-c.proc.ended
}

// Pause stops the process (SIGSTOP), and returns when it is stopped: connections stay open and do not answer.
func (c *Component) Pause() error {
	if err := c.send(syscall.SIGSTOP); err != nil {
		return err
	}
	return c.awaitStandstill()
}

// awaitStandstill waits until every thread is stopped, because the signal is asynchronous.
func (c *Component) awaitStandstill() error {
	deadline := time.Now().Add(stopGrace)
	for {
		pid := c.PID()
		if pid == 0 {
			return fmt.Errorf("%s ended while it was paused", c.name)
		}
		if stopped(pid) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not stop within %s", c.name, stopGrace)
		}
		time.Sleep(time.Millisecond)
	}
}

// Resume continues a paused process (SIGCONT).
func (c *Component) Resume() error { return c.send(syscall.SIGCONT) }

func (c *Component) send(signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil || !c.proc.running() {
		return fmt.Errorf("%s does not run", c.name)
	}
	c.proc.signal(signal)
	return nil
}

// Restart stops the process if it runs, starts it with the same arguments on the same address, and waits until
// it is ready.
func (c *Component) Restart(ctx context.Context) error {
	if err := c.restart(ctx); err != nil {
		return err
	}
	return c.Ready(ctx)
}

func (c *Component) restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stopLocked(ctx); err != nil {
		return err
	}
	if c.cleanse != nil {
		if err := c.cleanse(ctx); err != nil {
			return fmt.Errorf("restarting %s: %w", c.name, err)
		}
	}
	return c.startLocked()
}

// change sets the process's arguments: it restarts a running process if they differ, otherwise they apply from
// its next start.
func (c *Component) change(ctx context.Context, args []string) error {
	c.mu.Lock()
	same := slices.Equal(c.args, args)
	c.args = args
	c.mu.Unlock()
	if same || !c.Running() {
		return nil
	}
	return c.Restart(ctx)
}

// Exit describes a component that exited without a request.
type Exit struct {
	Component *Component
	// Err describes how it ended, with the tail of its log.
	Err error
}
