package kind

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// machineWide are the kernel parameters that a kubelet sets, and that a node shares with the host.
var machineWide = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"}

// sysctls are kernel parameters, by their path below /proc/sys.
type sysctls map[string]string

func readSysctls() (sysctls, error) {
	read := sysctls{}
	for _, name := range machineWide {
		value, err := os.ReadFile("/proc/sys/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // not Linux: the engine runs in a virtual machine
		}
		if err != nil {
			return nil, fmt.Errorf("reading the kernel parameters that kubelets set: %w", err)
		}
		read[name] = strings.TrimSpace(string(value))
	}
	return read, nil
}

// restore restores parameters that have changed. Without permission it returns the command to run.
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
			fmt.Fprintf(os.Stderr, "the cluster's kubelets changed %s of this machine; to restore it: sudo sysctl -w %s=%s\n", name, strings.ReplaceAll(name, "/", "."), s[name])
		} else if err != nil {
			return fmt.Errorf("restoring the kernel parameters that kubelets set: %w", err)
		}
	}
	return nil
}
