package kind

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// machineWide are what a kubelet sets, whose node shares the machine's kernel.
var machineWide = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"}

// sysctls are kernel parameters, by their path below /proc/sys.
type sysctls map[string]string

func readSysctls() (sysctls, error) {
	read := sysctls{}
	for _, name := range machineWide {
		value, err := os.ReadFile("/proc/sys/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // no Linux here: the engine runs on a machine of its own
		}
		if err != nil {
			return nil, fmt.Errorf("reading what kubelets set for the whole machine: %w", err)
		}
		read[name] = strings.TrimSpace(string(value))
	}
	return read, nil
}

// restore sets what differs now. Who may not is told what to do.
func (s sysctls) restore() error {
	now, err := readSysctls()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if now[name] == s[name] {
			continue
		}
		err := os.WriteFile("/proc/sys/"+name, []byte(s[name]), 0)
		if errors.Is(err, os.ErrPermission) {
			fmt.Fprintf(os.Stderr, "the cluster's kubelets changed %s of this machine; to put it back: sudo sysctl -w %s=%s\n", name, strings.ReplaceAll(name, "/", "."), s[name])
		} else if err != nil {
			return fmt.Errorf("putting back what kubelets set for the whole machine: %w", err)
		}
	}
	return nil
}
