// Package corpus applies DaemonSet manifests of real products, unchanged but for apiVersion, and compares the
// placement of their pods with upstream's own rules.
package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/yaml"
)

// manifest is one file: its DaemonSets, and the other objects that they need.
type manifest struct {
	file       string
	daemonSets []document
	// needed are documents of kinds that pods cannot be created without.
	needed []document
	// leftOut counts the other documents, by kind.
	leftOut map[string]int
}

// document is one YAML document as in its file.
type document struct {
	text string
	kind string
}

// neededKinds are required to create a pod.
var neededKinds = map[string]bool{"Namespace": true, "ServiceAccount": true, "PriorityClass": true}

var separator = regexp.MustCompile(`(?m)^---.*$`)

func readManifest(file string) (*manifest, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := &manifest{file: filepath.Base(file), leftOut: map[string]int{}}
	for _, part := range separator.Split(string(text), -1) {
		var head struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(part), &head); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		doc := document{text: part, kind: head.Kind}
		switch {
		case head.Kind == "":
		case head.Kind == "DaemonSet":
			m.daemonSets = append(m.daemonSets, doc)
		case neededKinds[head.Kind]:
			m.needed = append(m.needed, doc)
		default:
			m.leftOut[head.Kind]++
		}
	}
	if len(m.daemonSets) == 0 {
		return nil, fmt.Errorf("%s contains no DaemonSet", file)
	}
	return m, nil
}

// readManifests reads every YAML file of a folder, without subfolders.
func readManifests(dir string) ([]*manifest, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s contains no *.yaml: set the folder of the manifests", dir)
	}
	var manifests []*manifest
	for _, file := range files {
		m, err := readManifest(file)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, m)
	}
	return manifests, nil
}

var apiVersion = regexp.MustCompile(`(?m)^(["']?apiVersion["']?:\s*)\S+`)

// as returns the document with another apiVersion.
func (d document) as(version string) string {
	return apiVersion.ReplaceAllString(d.text, "${1}"+version)
}

var codecs = func() serializer.CodecFactory {
	scheme := runtime.NewScheme()
	utilruntime.Must(appsv1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme)
}()

// daemonSet decodes the document as a DaemonSet of apps/v1: the oracle's input.
func (d document) daemonSet() (*appsv1.DaemonSet, error) {
	object, _, err := codecs.UniversalDeserializer().Decode([]byte(d.text), nil, nil)
	if err != nil {
		return nil, err
	}
	set, ok := object.(*appsv1.DaemonSet)
	if !ok {
		return nil, fmt.Errorf("decoded a %T, want a DaemonSet of apps/v1", object)
	}
	if set.Namespace == "" {
		set.Namespace = "default"
	}
	return set, nil
}

// summary lists the kinds that were left out of a file.
func (m *manifest) summary() string {
	var parts []string
	for kind, count := range m.leftOut {
		parts = append(parts, fmt.Sprintf("%d %s", count, kind))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
