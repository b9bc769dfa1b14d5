package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// modulePath is Everynode's own module; its go.mod marks the root of the source tree.
const modulePath = "github.com/everynode/everynode"

// findRoot returns the root of the source tree that holds dir, walking up to Everynode's go.mod.
func findRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module "+modulePath+"\n") {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside Everynode's source tree (no go.mod of %s above it): run from the tree, or set Options.Root", dir, modulePath)
		}
	}
}

// componentsDir is where hack/build-lab.sh puts the components, by the versions in tools/go.mod.
func componentsDir(root string) (string, error) {
	file, err := os.Open(filepath.Join(root, "tools", "go.mod"))
	if err != nil {
		return "", fmt.Errorf("finding the components' versions: %w", err)
	}
	defer func() { _ = file.Close() }()
	versions := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && versions[fields[0]] == "" {
			versions[fields[0]] = fields[1]
		}
	}
	kubernetes, etcd, kwok := versions["k8s.io/kubernetes"], versions["go.etcd.io/etcd/server/v3"], versions["sigs.k8s.io/kwok"]
	if kubernetes == "" || etcd == "" || kwok == "" {
		return "", errors.New("finding the components' versions: tools/go.mod does not require kubernetes, etcd or kwok")
	}
	return filepath.Join(root, "bin", fmt.Sprintf("lab-%s-etcd-%s-kwok-%s", kubernetes, etcd, kwok)), nil
}

// findBinaries returns the path of kubectl and of each wanted component, or an error that names the missing
// ones and how to build them. release is the Kubernetes release of the control plane; "" means that of
// tools/go.mod.
func findBinaries(root, release string, everynode *Release, wanted func(name string) bool) (map[string]string, error) {
	dir, err := componentsDir(root)
	if err != nil {
		return nil, err
	}
	paths, missing := map[string]string{}, []string{}
	for _, name := range append([]string{kubectl}, ComponentNames...) {
		path := filepath.Join(dir, name)
		switch {
		case isEverynode(name):
			path = everynode.programs(root)[name]
		case release != "" && ofRelease(name):
			path = filepath.Join(kubernetesDir(root, release), name)
		}
		if info, err := os.Stat(path); wanted(name) && (err != nil || info.Mode()&0o111 == 0) {
			missing = append(missing, name)
		}
		paths[name] = path
	}
	build := "make components build"
	if release != "" {
		build += " && bash hack/build-kubernetes.sh " + release
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not built yet: %s; run: %s", strings.Join(missing, ", "), build)
	}
	return paths, nil
}
