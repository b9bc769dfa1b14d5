// Package certmanager runs the real cert-manager in this process, as far as certificates of a CA in the cluster
// need it: its controllers of issuers, certificates and requests, and its cainjector. ACME and other external
// issuers are left out, and so is cert-manager's own webhook, which validates users' objects.
package certmanager

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"   // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"         // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned" // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"           // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"        // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"         // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"    // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"   // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"           // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"                        // registers itself
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"                                 // registers the issuer
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"                         // registers the issuer
	"github.com/cert-manager/cert-manager/pkg/util"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const module = "github.com/cert-manager/cert-manager"

// workers of each controller.
const workers = 2

// CRDs is the folder of its CustomResourceDefinitions, in the module's source.
func CRDs(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of %s: %w", module, err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "deploy", "crds")
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("finding the CRDs of %s: %w", module, err)
	}
	return dir, nil
}

// Run runs cert-manager against the API server of a kubeconfig until ctx ends or a component fails.
func Run(ctx context.Context, kubeconfig string, config *rest.Config) error {
	group, ctx := errgroup.WithContext(ctx)
	if err := startControllers(ctx, group, kubeconfig); err != nil {
		return err
	}
	injector, err := newInjector(ctx, config)
	if err != nil {
		return err
	}
	group.Go(func() error { return injector.Start(ctx) })
	return group.Wait()
}

func startControllers(ctx context.Context, group *errgroup.Group, kubeconfig string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{Kubeconfig: kubeconfig, KubernetesAPIQPS: 100, KubernetesAPIBurst: 200})
	if err != nil {
		return fmt.Errorf("setting up cert-manager: %w", err)
	}
	for name, construct := range controller.Known() {
		c, err := construct(factory)
		if err != nil {
			return fmt.Errorf("setting up cert-manager's controller %s: %w", name, err)
		}
		group.Go(func() error {
			if err := c.Run(workers, ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("cert-manager's controller %s: %w", name, err)
			}
			return nil
		})
	}
	shared, err := factory.Build()
	if err != nil {
		return fmt.Errorf("setting up cert-manager: %w", err)
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return nil
}

// newInjector sets up cainjector, for webhook configurations, as its own program does.
func newInjector(ctx context.Context, config *rest.Config) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, certmanagerv1.AddToScheme, apiextensionsv1.AddToScheme, apiregistrationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	// The field manager of its server-side applies is derived from this.
	config = util.RestConfigWithUserAgent(config, "cainjector")
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Client:  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up cainjector: %w", err)
	}
	err = cainjector.RegisterAllInjectors(ctx, manager, cainjector.SetupOptions{
		EnableCertificatesDataSource: true,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   true,
			cainjector.ValidatingWebhookConfigurationName: true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up cainjector: %w", err)
	}
	return manager, nil
}
