package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/test/certs/certmanager"
	"github.com/everynode/everynode/test/kind"
)

// nextTag is another tag of the same programs: to Kubernetes, another release of them.
const nextTag = "next"

var next = kind.Values{"images": kind.Values{"tag": nextTag}}

// upgrade updates all three programs to the next release, one pod after the other.
func upgrade(stands *v1alpha1.DaemonSet, values kind.Values) func(*stage) {
	return func(s *stage) {
		archives, err := filepath.Glob("../../bin/image/next-*.tar")
		s.Must(err)
		for i := range archives {
			archives[i], err = filepath.Abs(archives[i])
			s.Must(err)
		}
		s.Must(s.kind.Load(s.T.Context(), archives...))
		s.undisturbed(stands, func() {
			s.install(values)
			s.Eventually("only programs of the next release run", func(ctx context.Context) (string, error) {
				images, err := s.programs(ctx)
				for image := range images {
					if !strings.HasSuffix(image, ":"+nextTag) {
						return fmt.Sprint(images), err
					}
				}
				return "", err
			})
		})
		placedBy(v1alpha1.PlacedByWebhook)(s)
	}
}

// toPolicy replaces the webhook with policies of the API server.
func toPolicy(stands *v1alpha1.DaemonSet, values kind.Values) func(*stage) {
	return func(s *stage) {
		s.undisturbed(stands, func() {
			s.install(values.With(kind.Values{"placement": kind.Values{"admission": "policy"}}))
		})
		var configurations admissionv1.MutatingWebhookConfigurationList
		s.Must(s.List(s.T.Context(), &configurations))
		if len(configurations.Items) > 0 {
			s.T.Errorf("the webhook's configuration %s still exists", configurations.Items[0].Name)
		}
		placedBy(v1alpha1.PlacedByPolicy)(s)
	}
}

// toCertManager switches back to the webhook, now with a certificate of the real cert-manager.
func toCertManager(stands *v1alpha1.DaemonSet, values kind.Values) func(*stage) {
	return func(s *stage) {
		crds, err := certmanager.CRDs(s.T.Context())
		s.Must(err)
		s.Must(s.kind.Load(s.T.Context(), "bin/image/cert-manager.tar"))
		s.kubectl("apply", "--server-side", "--filename="+crds)
		s.WaitForAPI("cert-manager.io/v1", "certificates", "issuers")
		s.kubectl("apply", "--filename=test/e2e/testdata/cert-manager.yaml")
		s.kubectl("--namespace=cert-manager", "wait", "--for=condition=Available", "deployments", "--all", "--timeout="+patience.String())
		s.undisturbed(stands, func() {
			s.install(values.With(kind.Values{"certificates": kind.Values{"source": "cert-manager"}}))
		})
		placedBy(v1alpha1.PlacedByWebhook)(s)
		s.certificateIsCertManagers()
	}
}

func (s *stage) certificateIsCertManagers() {
	s.T.Helper()
	s.kubectl("--namespace="+kind.Namespace, "wait", "--for=condition=Ready", "certificate/everynode-webhook", "--timeout="+patience.String())
	var secret corev1.Secret
	s.Must(s.Get(s.T.Context(), client.ObjectKey{Namespace: kind.Namespace, Name: "everynode-webhook-tls"}, &secret))
	if by := secret.Annotations["cert-manager.io/certificate-name"]; by != "everynode-webhook" {
		s.T.Errorf("the webhook's certificate is of cert-manager's Certificate %q, want everynode-webhook", by)
	}
}

// uninstall removes Everynode: its daemons keep running, and a new install continues to manage them.
func uninstall(stands *v1alpha1.DaemonSet, values kind.Values) func(*stage) {
	return func(s *stage) {
		s.undisturbed(stands, func() {
			s.Must(s.kind.Uninstall(s.T.Context()))
			s.Eventually("no program of Everynode is left", func(ctx context.Context) (string, error) {
				images, err := s.programs(ctx)
				if len(images) > 0 {
					return fmt.Sprint(images), err
				}
				return "", err
			})
			// If the CRD were deleted, the daemons would be deleted shortly after.
			crd := &metav1.PartialObjectMetadata{}
			crd.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
			s.Must(s.Get(s.T.Context(), client.ObjectKey{Name: "daemonsets.everynode.dev"}, crd))
			if crd.DeletionTimestamp != nil {
				s.T.Error("uninstalling deleted the CRD, and with it every daemon")
			}
		})
		s.undisturbed(stands, func() { s.install(values) })
		placedBy(v1alpha1.PlacedByWebhook)(s)
	}
}

// emptied removes an installation, except for the CRD and the standing daemon.
func (s *stage) emptied() {
	s.T.Helper()
	s.Must(s.kind.Uninstall(s.T.Context()))
	s.kubectl("delete", "namespace", kind.Namespace, "--timeout="+patience.String())
}

// firstByPolicy installs Everynode with policies where it is not installed.
func firstByPolicy(stands *v1alpha1.DaemonSet, values kind.Values) func(*stage) {
	return func(s *stage) {
		s.undisturbed(stands, func() {
			s.emptied()
			s.install(values.With(kind.Values{"placement": kind.Values{"admission": "policy"}}))
		})
		placedBy(v1alpha1.PlacedByPolicy)(s)
	}
}

// firstByCertManager installs Everynode without Helm, with the manifest that uses cert-manager, which is
// already installed.
func firstByCertManager(stands *v1alpha1.DaemonSet) func(*stage) {
	return func(s *stage) {
		s.undisturbed(stands, func() {
			s.emptied()
			s.kubectl("apply", "--server-side", "--filename=deploy/install.yaml")
			s.kubectl("--namespace="+kind.Namespace, "rollout", "status", "deployment", "--timeout="+patience.String())
		})
		placedBy(v1alpha1.PlacedByWebhook)(s)
		s.certificateIsCertManagers()
	}
}
