// Package deploy embeds what the chart (chart/everynode) renders to, so that whoever installs
// Everynode from Go (the lab) applies the very manifests that users apply.
package deploy

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Install is the install whose webhook's certificate everynode-controller makes: the CRD and every
// object of the chart's defaults.
//
//go:embed install-selfmanaged.yaml
var Install []byte

// Apps is what is installed besides where native DaemonSets are served.
//
//go:embed variants/apps.yaml
var Apps []byte

// Policy is what is installed instead of the webhook where policies of the API server place pods.
//
//go:embed variants/policy.yaml
var Policy []byte

// Primary is applied over Install where everynode-scheduler takes the place of kube-scheduler.
//
//go:embed variants/primary.yaml
var Primary []byte

// Objects reads a manifest; with kinds, the objects of these kinds alone.
func Objects(manifest []byte, kinds ...string) ([]*unstructured.Unstructured, error) {
	wanted := map[string]bool{}
	for _, kind := range kinds {
		wanted[kind] = true
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		if len(object.Object) > 0 && (len(kinds) == 0 || wanted[object.GetKind()]) {
			objects = append(objects, object)
		}
	}
}
