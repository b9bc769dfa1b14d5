package lab

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLifetime of the tokens Everynode's processes get: longer than any lab.
const tokenLifetime = validity

// writeKubeconfig writes a kubeconfig for one user of the API server at a URL.
func writeKubeconfig(path, server string, ca []byte, user *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos["lab"] = user
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "lab"}
	config.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return nil
}

// certificateUser authenticates by client certificate.
func certificateUser(pair keyPair) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
}

// adminConfig is the REST configuration of an admin, without a client-side rate limit.
func adminConfig(server string, p *pki) *rest.Config {
	return &rest.Config{
		Host: server,
		QPS:  -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   p.ca.cert,
			CertData: p.admin.cert,
			KeyData:  p.admin.key,
		},
	}
}

// serviceAccountUser authenticates as a service account, by its own token.
func serviceAccountUser(ctx context.Context, client kubernetes.Interface, namespace, name string) (*clientcmdapi.AuthInfo, error) {
	seconds := int64(tokenLifetime / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	got, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token of service account %s/%s (the manifests of deploy have to bring it): %w", namespace, name, err)
	}
	return &clientcmdapi.AuthInfo{Token: got.Status.Token}, nil
}
