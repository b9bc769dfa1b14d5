package kind

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// endLimit is how long a program may take to end before it is killed.
const endLimit = 10 * time.Second

// run runs a program, from bin/ if it exists there, and returns its output, which errors include. kind, kubectl
// and helm, also when a shell calls them, use this cluster.
func (c *Cluster) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	if path := filepath.Join(c.root, "bin", program); executable(path) {
		program = path
	}
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = c.root
	command.Env = append(os.Environ(), "KIND_CLUSTER_NAME="+c.Name, "KUBECONFIG="+c.Kubeconfig,
		"PATH="+filepath.Join(c.root, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	command.Stdin = strings.NewReader(stdin)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = endLimit
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
