package lab

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

//go:embed stages.yaml
var stages []byte

const stagesFile = "stages.yaml"

//go:embed kubelets.yaml
var kubelets []byte

// Lab is a running control plane. It lives until Stop, or until its process ends.
type Lab struct {
	// Config authenticates an admin (system:masters) and has no client-side rate limit.
	Config *rest.Config
	// Client is made from Config.
	Client kubernetes.Interface
	// Kubeconfig is the path of an admin's kubeconfig.
	Kubeconfig string
	// Dir is the lab's folder; logs/ in it has one file per component.
	Dir string
	// StartTime is how long New took.
	StartTime time.Duration

	options    Options
	pki        *pki
	kubectl    string
	components map[string]*Component
	replicas   replicas
	reserved   *reservation
	addresses  atomic.Int64
	lock       *os.File
	temporary  bool
	exits      chan Exit
	stopOnce   sync.Once
	stopErr    error
}

// New starts a lab and returns when every component is ready, Everynode's manifests are installed and the nodes
// are Ready. ctx only bounds the start. If the start fails, no process is left running.
func New(ctx context.Context, options Options) (*Lab, error) {
	begun := time.Now()
	l, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if err := l.start(ctx); err != nil {
		// The logs explain the failure, so they stay even in a temporary folder.
		l.temporary = false
		return nil, errors.Join(fmt.Errorf("lab: %w", err), l.Stop(context.WithoutCancel(ctx)))
	}
	l.StartTime = time.Since(begun)
	return l, nil
}

// prepare does everything before the first process: options, binaries, folder, keys, ports.
func prepare(options Options) (*Lab, error) {
	options.complete()
	if err := options.validate(); err != nil {
		return nil, err
	}
	if options.Root == "" {
		here, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		if options.Root, err = findRoot(here); err != nil {
			return nil, err
		}
	}
	if options.Release == nil {
		options.Release = Present()
	}
	paths, err := findBinaries(options.Root, options.Kubernetes, options.Release, func(name string) bool { return name == kubectl || options.starts(name) })
	if err != nil {
		return nil, err
	}
	l := &Lab{
		options:    options,
		kubectl:    paths[kubectl],
		components: map[string]*Component{},
		exits:      make(chan Exit, 64),
	}
	if err := l.makeDir(); err != nil {
		return nil, err
	}
	if err := l.makeFiles(paths); err != nil {
		return nil, errors.Join(err, l.releaseDir())
	}
	return l, nil
}

func (l *Lab) makeDir() error {
	dir := l.options.Dir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "everynode-lab-")
		if err != nil {
			return err
		}
		dir, l.temporary = temporary, true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	l.Dir = dir
	l.lock, err = claim(dir)
	return err
}

// makeFiles writes keys, kubeconfigs and configuration and creates the components' handles.
func (l *Lab) makeFiles(paths map[string]string) error {
	for _, dir := range []string{l.path("logs"), l.path("kubeconfigs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var err error
	if l.pki, err = newPKI(l.path("pki")); err != nil {
		return err
	}
	for name, data := range map[string][]byte{stagesFile: stages, auditPolicyFile: l.options.AuditPolicy} {
		if err := os.WriteFile(l.path(name), data, 0o600); err != nil {
			return err
		}
	}
	if err := l.newComponents(paths); err != nil {
		return err
	}
	l.Config = adminConfig("https://"+l.Component(APIServer).Address(), l.pki)
	if l.Client, err = kubernetes.NewForConfig(l.Config); err != nil {
		return err
	}
	l.Kubeconfig = l.path("kubeconfig")
	if err := writeKubeconfig(l.Kubeconfig, l.Config.Host, l.pki.ca.cert, certificateUser(l.pki.admin)); err != nil {
		return err
	}
	for name, s := range specs {
		if s.user == "" {
			continue
		}
		pair, err := l.pki.ca.client(s.user, s.groups...)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(l.kubeconfigOf(name), l.Config.Host, l.pki.ca.cert, certificateUser(pair)); err != nil {
			return err
		}
	}
	return nil
}

// start runs the components, in parallel as far as their dependencies permit.
func (l *Lab) start(ctx context.Context) error {
	if err := l.startAndWait(ctx, Etcd); err != nil {
		return err
	}
	if err := l.startAndWait(ctx, APIServer); err != nil {
		return err
	}
	tasks := []func(context.Context) error{
		func(ctx context.Context) error { return l.addNodes(ctx, l.options.Nodes) },
		l.waitForServiceAccounts,
		func(ctx context.Context) error { return l.install(ctx, kubelets) },
		l.startEverynode,
	}
	for _, name := range []string{ControllerManager, Scheduler, Kwok} {
		tasks = append(tasks, func(ctx context.Context) error { return l.startAndWait(ctx, name) })
	}
	if err := inParallel(ctx, 0, tasks...); err != nil {
		return err
	}
	if !l.options.starts(ControllerManager) {
		return nil // without it the not-ready taint stays on new nodes
	}
	return l.WaitForNodes(ctx)
}

// startAndWait starts a component, unless the options leave it out, and waits until it is ready.
func (l *Lab) startAndWait(ctx context.Context, name string) error {
	if !l.options.starts(name) {
		return nil
	}
	if err := l.components[name].start(); err != nil {
		return err
	}
	return l.components[name].Ready(ctx)
}

// startEverynode installs the manifests of deploy/ and starts Everynode's own processes.
func (l *Lab) startEverynode(ctx context.Context) error {
	for _, manifest := range l.options.Release.manifests(&l.options) {
		if err := l.install(ctx, manifest); err != nil {
			return err
		}
	}
	if err := l.authenticate(ctx); err != nil {
		return err
	}
	return inParallel(ctx, 0,
		func(ctx context.Context) error { return l.startAndWait(ctx, Controller) },
		func(ctx context.Context) error { return l.startAndWait(ctx, Webhook) },
		func(ctx context.Context) error { return l.startAndWait(ctx, EverynodeScheduler) },
	)
}

// waitForServiceAccounts waits until pods can be created in the default namespace: admission requires its
// default service account, which kube-controller-manager creates.
func (l *Lab) waitForServiceAccounts(ctx context.Context) error {
	if !l.options.starts(ControllerManager) {
		return nil
	}
	return Eventually(ctx, "service account default/default exists", func(ctx context.Context) (string, error) {
		_, err := l.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return "", err
	})
}

// Component returns the handle of a component, one of ComponentNames; it panics for any other name. It also
// returns components that the options leave out, which Restart starts.
func (l *Lab) Component(name string) *Component {
	c, found := l.components[name]
	if !found {
		panic("lab: " + unknownComponent("component", name).Error())
	}
	return c
}

// Exits reports components that exited without a request through the lab.
func (l *Lab) Exits() <-chan Exit { return l.exits }

// componentDied never blocks; without a reader, the first exits are kept.
func (l *Lab) componentDied(exit Exit) {
	select {
	case l.exits <- exit:
	default:
	}
}

// Stop ends every process of the lab, dependents first, and frees its folder; a temporary one is removed. The
// error names processes that had to be killed. Later calls return the result of the first.
func (l *Lab) Stop(ctx context.Context) error {
	l.stopOnce.Do(func() { l.stopErr = l.stop(ctx) })
	return l.stopErr
}

func (l *Lab) stop(ctx context.Context) error {
	errs := []error{
		l.replicas.stop(ctx),
		l.stopAll(ctx, Controller, Webhook, EverynodeScheduler, Kwok, Scheduler, ControllerManager),
		l.stopAll(ctx, APIServer),
		l.stopAll(ctx, Etcd),
	}
	l.reserved.releaseAll()
	return errors.Join(append(errs, l.releaseDir())...)
}

func (l *Lab) stopAll(ctx context.Context, names ...string) error {
	var (
		all  sync.WaitGroup
		errs = make([]error, len(names))
	)
	for i, name := range names {
		all.Go(func() { errs[i] = l.components[name].Stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (l *Lab) releaseDir() error {
	var errs []error
	if l.temporary {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// Kubectl runs kubectl as admin, with stdin as its input, and returns its output. The error contains stderr.
func (l *Lab) Kubectl(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, l.kubectl, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Kubeconfig, "KUBECACHEDIR="+l.path("kubectl-cache"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), errOut.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), errOut.String(), nil
}

func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.Dir}, elements...)...)
}
