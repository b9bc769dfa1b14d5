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
	// readyPoll is the time between two questions whether a component is ready.
	readyPoll = 40 * time.Millisecond
	// tailBytes of its log are shown when a component fails.
	tailBytes = 4096
)

// Component is a handle on one process of a lab. Its methods are safe for concurrent use; they
// are done one after the other.
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
	// cleanse is done between stop and start of Restart; nil means nothing.
	cleanse func(ctx context.Context) error
	// died is told of an end that nobody asked for.
	died func(Exit)

	mu   sync.Mutex
	args []string // of the next start
	proc *process
}

// Name is one of ComponentNames, or that of a replica.
func (c *Component) Name() string { return c.name }

// Address is where the component serves, as host:port; for most it is where it tells its health.
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

// Running says whether the process is there, be it paused.
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

// Ready waits until the component serves. It fails at once, with the tail of its log, when the
// process is not there, and otherwise when ctx ends.
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

// failure says how the process ended and shows the tail of its log.
func (c *Component) failure(proc *process) error {
	how := "exit status 0"
	if proc.err != nil {
		how = proc.err.Error()
	}
	return fmt.Errorf("%s ended: %s; the end of %s:\n%s", c.name, how, c.log, c.tail())
}

// tail is the end of the component's log, in whole lines.
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

// Stop asks the process to end (SIGTERM), also when it is paused, and kills it when it is still
// there after ten seconds or when ctx ends. It returns once the process is gone; that it had to
// be killed is an error. A component that does not run is stopped already.
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

// raced is the failure of a process that ended because of a data race, though it was asked to end.
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

// Pause stops the process where it is (SIGSTOP), and returns when it stands still: connections
// stay open and nothing answers.
func (c *Component) Pause() error {
	if err := c.send(syscall.SIGSTOP); err != nil {
		return err
	}
	return c.awaitStandstill()
}

// awaitStandstill waits until every thread is stopped; the signal alone only asks them to.
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
			return fmt.Errorf("%s did not stand still within %s", c.name, stopGrace)
		}
		time.Sleep(time.Millisecond)
	}
}

// Resume lets a paused process go on (SIGCONT).
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

// Restart stops the process when it runs, starts it with the same arguments on the same address,
// and waits until it is ready.
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

// change has the process run with these arguments: anew when it runs with others, else from its
// next start on.
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

// Exit tells of a component that ended though nobody asked it to.
type Exit struct {
	Component *Component
	// Err says how it ended and carries the tail of its log.
	Err error
}
