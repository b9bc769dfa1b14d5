package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The components of a lab.
const (
	Etcd               = "etcd"
	APIServer          = "kube-apiserver"
	ControllerManager  = "kube-controller-manager"
	Scheduler          = "kube-scheduler"
	Kwok               = "kwok"
	Controller         = "everynode-controller"
	Webhook            = "everynode-webhook"
	EverynodeScheduler = "everynode-scheduler"
)

// ComponentNames are all of them, in start order.
var ComponentNames = []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok, Controller, Webhook, EverynodeScheduler}

const kubectl = "kubectl"

func isEverynode(name string) bool { return strings.HasPrefix(name, "everynode-") }

// Addresses inside the simulated cluster; nothing listens there.
const (
	serviceCIDR = "10.96.0.0/16"
	podCIDR     = "10.244.0.0/16"
)

// spec describes a component.
type spec struct {
	// args returns the arguments for the component's ports.
	args func(l *Lab, ports []int) []string
	// ports is the number of ports; the first is the component's address.
	ports int
	// ready is the path of the readiness probe, on readyPort (an index), by scheme.
	scheme, ready string
	readyPort     int
	// user is the common name of the client certificate in the component's kubeconfig; "" for those without
	// one.
	user   string
	groups []string
	env    func(l *Lab) []string
}

var specs = map[string]spec{
	Etcd:               {args: etcdArgs, ports: 2, scheme: "http", ready: "/readyz"},
	APIServer:          {args: apiServerArgs, ports: 1, scheme: "https", ready: "/readyz"},
	ControllerManager:  {args: controllerManagerArgs, ports: 1, scheme: "https", ready: "/healthz", user: "system:kube-controller-manager"},
	Scheduler:          {args: schedulerArgs, ports: 1, scheme: "https", ready: "/readyz", user: "system:kube-scheduler"},
	Kwok:               {args: kwokArgs, ports: 1, scheme: "http", ready: "/readyz", user: "lab-kwok", groups: []string{"system:masters"}, env: kwokEnv},
	Controller:         {args: controllerArgs, ports: 2, scheme: "http", ready: "/readyz"},
	Webhook:            {args: webhookArgs, ports: 3, scheme: "http", ready: "/readyz", readyPort: 1},
	EverynodeScheduler: {args: everynodeSchedulerArgs, ports: 1, scheme: "https", ready: "/readyz"},
}

func etcdArgs(l *Lab, ports []int) []string {
	client, peer := "http://"+hostPort(ports[0]), "http://"+hostPort(ports[1])
	return []string{
		"--name=lab",
		"--data-dir=" + l.path("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=lab=" + peer,
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func apiServerArgs(l *Lab, ports []int) []string {
	return slices.Concat([]string{
		"--etcd-servers=http://" + l.Component(Etcd).Address(),
		"--bind-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", ports[0]),
		// Endpoints must not be loopback addresses, and no pod calls the API server here.
		"--advertise-address=" + loopback,
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceCIDR,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file=" + l.pki.path(caCert),
		"--tls-cert-file=" + l.pki.path(servingCert),
		"--tls-private-key-file=" + l.pki.path(servingKey),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + l.pki.path(serviceAccount),
		"--service-account-signing-key-file=" + l.pki.path(serviceAccount),
	}, l.options.policyArgs(), l.auditArgs())
}

// secureServing returns the arguments that Kubernetes' components share: a port on loopback, the lab's
// certificate, and health and metrics without authentication.
func secureServing(l *Lab, port int) []string {
	return []string{
		"--bind-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + l.pki.path(servingCert),
		"--tls-private-key-file=" + l.pki.path(servingKey),
		"--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics",
	}
}

func controllerManagerArgs(l *Lab, ports []int) []string {
	controllers := "*"
	if l.options.servesApps() {
		controllers = "*,-daemonset-controller"
	}
	return append(secureServing(l, ports[0]),
		"--kubeconfig="+l.kubeconfigOf(ControllerManager),
		"--controllers="+controllers,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+l.pki.path(serviceAccount),
		"--root-ca-file="+l.pki.path(caCert),
		"--cluster-signing-cert-file="+l.pki.path(caCert),
		"--cluster-signing-key-file="+l.pki.path(caKey),
		"--service-cluster-ip-range="+serviceCIDR,
		"--leader-elect=false",
		// Five times as often as by default: a node that is NotReady is tainted within a second.
		"--node-monitor-period=1s",
		"--node-monitor-grace-period="+(leaseDuration(l.options.Nodes)+leaseGrace).String(),
		// The default of 20 requests a second would remove the not-ready taint from only two nodes a second.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
	)
}

func schedulerArgs(l *Lab, ports []int) []string {
	return append(secureServing(l, ports[0]),
		"--kubeconfig="+l.kubeconfigOf(Scheduler),
		"--leader-elect=false",
	)
}

func kwokArgs(l *Lab, ports []int) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfigOf(Kwok),
		"--manage-all-nodes=true",
		// The nodes' heartbeat; without it they turn Unknown after the grace period.
		fmt.Sprintf("--node-lease-duration-seconds=%d", int(leaseDuration(l.options.Nodes).Seconds())),
		"--config=" + l.path(stagesFile),
		"--cidr=" + podCIDR,
		"--server-address=" + hostPort(ports[0]),
	}
}

// leaseGrace is how much longer than its lease a node may be silent, as by Kubernetes' defaults of 40 and 50 seconds.
const leaseGrace = 10 * time.Second

// leaseDuration is how long a node's lease is valid: as long as a kubelet's, or longer in a large lab. kwok renews each
// lease four times in that time, whatever else its API server does: 5,000 leases of 40 s would be 500 writes a second,
// most of what two cores can do, and as soon as pods are created too some leases expire.
func leaseDuration(nodes int) time.Duration {
	const (
		kubelets          = 40 * time.Second
		renewals          = 4
		renewalsPerSecond = 50
	)
	return max(kubelets, time.Duration(renewals*nodes/renewalsPerSecond)*time.Second)
}

// kwokEnv keeps kwok from reading the user's own settings in the home folder.
func kwokEnv(l *Lab) []string { return []string{"KWOK_WORKDIR=" + l.path("kwok")} }

func controllerArgs(l *Lab, ports []int) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfigOf(Controller),
		"--workloads=" + l.options.Workloads,
		"--placement=" + l.options.controllerPlacement(),
		"--webhook-certificates=" + l.options.whoCertifies(),
		// The webhook is called at loopback; the Service's name is that of a real cluster.
		"--webhook-certificate-names=everynode-webhook." + everynodeNamespace + ".svc," + loopback,
		"--leader-elect=true",
		"--leader-election-namespace=" + everynodeNamespace,
		"--health-probe-bind-address=" + hostPort(ports[0]),
		"--metrics-bind-address=" + hostPort(ports[1]),
		"--metrics-secure=false", // tests read them without a token
	}
}

func webhookArgs(l *Lab, ports []int) []string {
	args := []string{
		"--bind-address=" + hostPort(ports[0]),
		"--health-bind-address=" + hostPort(ports[1]),
		"--metrics-bind-address=" + hostPort(ports[2]),
		"--metrics-secure=false",
		"--kubeconfig=" + l.kubeconfigOf(Webhook),
		// No load balancer uses readiness here.
		"--shutdown-delay=0s",
	}
	if l.options.Certificates != CertificatesFiles {
		return args
	}
	return append(args,
		"--tls-cert-file="+l.pki.path(webhookCert),
		"--tls-private-key-file="+l.pki.path(webhookKey),
	)
}

func everynodeSchedulerArgs(l *Lab, ports []int) []string {
	return append(secureServing(l, ports[0]), "--config="+l.path(schedulerConfigFile))
}

// newComponents creates the handles of all components and starts none.
func (l *Lab) newComponents(paths map[string]string) error {
	total := 0
	for _, name := range ComponentNames {
		total += specs[name].ports
	}
	held, free, err := reserve(total)
	if err != nil {
		return err
	}
	l.reserved = held
	for _, name := range ComponentNames {
		var ports []int
		ports, free = free[:specs[name].ports], free[specs[name].ports:]
		c := l.newComponent(name, name, paths[name], held, ports)
		l.components[name] = c
		if c.args, err = l.understoodArgs(c, paths[name]); err != nil {
			return err
		}
	}
	l.components[Kwok].cleanse = l.dropNodeLeases
	return nil
}

// newComponent creates the handle of a process; it has no arguments yet.
func (l *Lab) newComponent(kind, name, path string, held *reservation, ports []int) *Component {
	s := specs[kind]
	c := &Component{
		kind:    kind,
		name:    name,
		address: hostPort(ports[0]),
		path:    path,
		log:     l.path("logs", name+".log"),
		ports:   ports,
		held:    held,
		probe:   healthProbe(loopbackClient(l.pki.ca.parsed), s.scheme+"://"+hostPort(ports[s.readyPort])+s.ready),
		died:    l.componentDied,
	}
	if s.env != nil {
		c.env = s.env(l)
	}
	return c
}

// argsOf returns a component's arguments for the current options.
func (l *Lab) argsOf(c *Component) []string {
	return slices.Concat(specs[c.kind].args(l, c.ports), l.options.ExtraArgs[c.kind])
}

// probeTimeout bounds one readiness probe, so that a paused process cannot block it.
const probeTimeout = 5 * time.Second

// loopbackClient probes the health of components; it trusts only the lab's CA and keeps no connections, because
// components restart.
func loopbackClient(ca *x509.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	}
}

func healthProbe(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
}

// kubeconfigOf returns the kubeconfig of a component.
func (l *Lab) kubeconfigOf(name string) string {
	return filepath.Join(l.Dir, "kubeconfigs", name)
}
