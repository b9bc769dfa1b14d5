package lab

import (
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
)

// Route makes a component use the API server at another URL, that of a proxy with ServingFiles, from its next start. Its
// replicas that are started later do the same. The empty URL is the API server's own.
func (l *Lab) Route(name, url string) error {
	if url == "" {
		url = l.Config.Host
	}
	path := l.kubeconfigOf(name)
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return fmt.Errorf("lab: routing %s: %w", name, err)
	}
	for _, cluster := range config.Clusters {
		cluster.Server = url
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("lab: routing %s: %w", name, err)
	}
	return nil
}

// ServingFiles are the files of a certificate for loopback that the lab's components trust, and of its key.
func (l *Lab) ServingFiles() (cert, key string) {
	return l.pki.path(servingCert), l.pki.path(servingKey)
}
