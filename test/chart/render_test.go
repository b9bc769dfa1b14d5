package chart

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/everynode/everynode/deploy"
)

const (
	root  = "../.."
	chart = root + "/deploy/chart/everynode"
)

// tool returns the path of a program that tools/<name>/go.mod names, and builds it once.
func tool(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile="+filepath.Join(root, "tools", name, "go.mod"), name).Output()
	if err != nil {
		t.Fatalf("building %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

var helm = struct {
	once sync.Once
	path string
}{}

func helmPath(t *testing.T) string {
	t.Helper()
	helm.once.Do(func() { helm.path = tool(t, "helm") })
	return helm.path
}

// template returns the manifests that helm renders from the chart with these options, or its error.
func template(t *testing.T, options ...string) ([]byte, error) {
	t.Helper()
	args := append([]string{"template", "everynode", chart, "--namespace", "everynode-system"}, options...)
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), helmPath(t), args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.Bytes(), nil
}

// objects returns the rendered objects of a manifest, by kind and name.
type objects map[string]*unstructured.Unstructured

func render(t *testing.T, options ...string) ([]byte, objects) {
	t.Helper()
	manifest, err := template(t, options...)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, parse(t, manifest)
}

func parse(t *testing.T, manifest []byte) objects {
	t.Helper()
	list, err := deploy.Objects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	found := objects{}
	for _, object := range list {
		key := object.GetKind() + "/" + object.GetName()
		if found[key] != nil {
			t.Errorf("%s is rendered twice", key)
		}
		found[key] = object
	}
	return found
}

// setting returns assignments as --set options.
func setting(assignments ...string) []string {
	var options []string
	for _, assignment := range assignments {
		options = append(options, "--set", assignment)
	}
	return options
}
