package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// anchor starts processes from one OS thread that lives as long as this process. The parent death signal is
// bound to the thread that forked, not to the process, and Go may end threads; only a thread that a goroutine
// locks indefinitely ends with the process.
type anchor struct {
	once     sync.Once
	requests chan spawn
}

type spawn struct {
	cmd  *exec.Cmd
	done chan error
}

var spawner = anchor{requests: make(chan spawn)}

func (a *anchor) start(cmd *exec.Cmd) error {
	a.once.Do(func() { go a.serve() })
	done := make(chan error)
	a.requests <- spawn{cmd, done}
	return <-done
}

func (a *anchor) serve() {
	runtime.LockOSThread()
	for request := range a.requests {
		request.done <- request.cmd.Start()
	}
}

// process is one run of a component.
type process struct {
	cmd *exec.Cmd
	// ended is closed once the process is gone and err is set.
	ended chan struct{}
	err   error
	// asked is set before the lab ends the process itself.
	asked atomic.Bool
}

// Starting begins the line in a component's log after which that of its next process follows.
const Starting = "lab: starting "

// startProcess runs a program with its output appended to a log file. The process has its own process group, so
// that a terminal's Ctrl-C only reaches the lab, and dies with this process.
func startProcess(path string, args, env []string, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if _, err := fmt.Fprintf(log, "%s%s\n", Starting, cmd); err != nil {
		return nil, err
	}
	if err := spawner.start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal; a process that has ended is not an error.
func (p *process) signal(signal syscall.Signal) { _ = p.cmd.Process.Signal(signal) }

// stopped reports whether every thread of a process is stopped by a signal (state T).
func stopped(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}
