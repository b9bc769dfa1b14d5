package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// platforms are those of a release (.ko.yaml), which differ in what they import.
var platforms = []string{"amd64", "arm64"}

// module is a module of which a program contains packages.
type module struct {
	path, version, folder string
	// packages are the folders of these packages.
	packages map[string]bool
	licenses []string
}

// listed is a package as go list prints it.
type listed struct {
	Dir      string
	Standard bool
	// Root is GOROOT for a package of the standard library.
	Root   string
	Module *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// dependencies returns the modules that the programs contain, without their own, and the standard library, by name.
func dependencies(root string, programs []string) ([]*module, error) {
	found := map[string]*module{}
	for _, platform := range platforms {
		command := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,Standard,Root,Module"}, programs...)...)
		command.Dir, command.Stderr = root, os.Stderr
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+platform)
		text, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		if err := collect(text, found); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *module) int { return cmp.Compare(a.path, b.path) }), nil
}

// collect adds the modules of listed packages.
func collect(text []byte, found map[string]*module) error {
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var is listed
		err := decoder.Decode(&is)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case is.Standard:
			add(found, module{path: "std", version: goVersion(), folder: is.Root}, is.Root)
		case is.Module == nil || is.Module.Dir == "":
			return fmt.Errorf("%s is in no module: run go mod download", is.Dir)
		case !is.Module.Main:
			add(found, module{path: is.Module.Path, version: is.Module.Version, folder: is.Module.Dir}, is.Dir)
		}
	}
}

// goVersion is the release without its patch: the page should not differ between machines.
func goVersion() string {
	parts := strings.Split(runtime.Version(), ".")
	return strings.Join(parts[:min(2, len(parts))], ".")
}

func add(found map[string]*module, of module, folder string) {
	if found[of.path] == nil {
		of.packages = map[string]bool{}
		found[of.path] = &of
	}
	found[of.path].packages[folder] = true
}

// files returns the license files that apply to the packages: in their folders and all folders above them in the module.
func (m *module) files() ([]string, error) {
	found := map[string]bool{}
	looked := map[string]bool{}
	for folder := range m.packages {
		for ; !looked[folder]; folder = filepath.Dir(folder) {
			looked[folder] = true
			entries, err := os.ReadDir(folder)
			if err != nil {
				return nil, err
			}
			for _, entry := range entries {
				if !entry.IsDir() && isLicense(entry.Name()) {
					found[filepath.Join(folder, entry.Name())] = true
				}
			}
			if folder == m.folder {
				break
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// isLicense reports whether a file has the name of a license, such as LICENSE.md, LICENSE-MIT or COPYING.
func isLicense(name string) bool {
	name = strings.ToLower(name)
	for _, begin := range []string{"license", "licence", "copying", "unlicense"} {
		if rest, ok := strings.CutPrefix(name, begin); ok && (rest == "" || strings.ContainsAny(rest[:1], ".-_")) {
			return filepath.Ext(name) != ".go"
		}
	}
	return false
}
