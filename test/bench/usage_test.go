package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tick is the unit in which Linux reports processor time, on every architecture that Go supports.
const tick = time.Second / 100

// cpuTime returns the processor time of a process so far, in user and kernel mode.
func cpuTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may contain spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		tb.Fatalf("/proc/%d/stat: %q", pid, stat)
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			tb.Fatalf("/proc/%d/stat: %v", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// memory returns a line of /proc/<pid>/status in MB: VmRSS, the resident memory, or VmHWM, its peak.
func memory(tb testing.TB, pid int, line string) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+line+":")
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " kB")
	kb, err := strconv.Atoi(value)
	if err != nil {
		tb.Fatalf("/proc/%d/status: %s: %v", pid, line, err)
	}
	return float64(kb) * 1024 / 1e6
}
