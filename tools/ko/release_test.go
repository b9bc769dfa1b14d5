// Package ko tests the output of make release, with its own registry on loopback.
package ko

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const release = "v0.0.0-test"

var (
	programs  = []string{"everynode-controller", "everynode-webhook", "everynode-scheduler"}
	platforms = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
)

// makeRelease runs make release in the source tree.
func makeRelease(t *testing.T, environment ...string) (stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "../..", "release", "RELEASE="+release)
	command.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "KO_") || strings.HasPrefix(variable, "RELEASE")
	}), environment...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	return out.String(), err
}

func TestReleaseWantsToKnowWhere(t *testing.T) {
	out, err := makeRelease(t)
	if err == nil || !strings.Contains(out, "set KO_DOCKER_REPO to where the images go") {
		t.Errorf("make release without KO_DOCKER_REPO: %v\n%s", err, out)
	}
}

// startRegistry serves a registry with an empty base image for each platform. It returns the repository for
// images, and the base.
func startRegistry(t *testing.T) (repository, base string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for architecture := range platforms {
		config, err := empty.Image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", architecture
		image, err := mutate.ConfigFile(empty.Image, config)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        mutate.MediaType(image, types.OCIManifestSchema1),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	base = host + "/base:nonroot"
	reference, err := name.ParseReference(base)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(reference, index); err != nil {
		t.Fatal(err)
	}
	return host + "/everynode", base
}

// Every program exists for every platform, is static, runs as a non-root user, and has an SBOM.
func TestRelease(t *testing.T) {
	repository, base := startRegistry(t)
	out, err := makeRelease(t, "KO_DOCKER_REPO="+repository, "KO_DEFAULTBASEIMAGE="+base, "RELEASE_DIRTY=yes")
	if err != nil {
		t.Fatalf("make release: %v\n%s", err, out)
	}
	pushed, err := os.ReadFile("../../bin/release/images")
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := os.ReadFile("../../bin/release/install.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if image := "image: " + repository + "/" + program + ":" + release + "\n"; !strings.Contains(string(manifests), image) {
			t.Errorf("bin/release/install.yaml has no %s", image)
		}
		t.Run(program, func(t *testing.T) {
			reference, err := name.ParseReference(repository + "/" + program + ":" + release)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(reference)
			if err != nil {
				t.Fatal(err)
			}
			digest, err := index.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(pushed), digest.String()) {
				t.Errorf("bin/release/images does not contain %s:\n%s", digest, pushed)
			}
			manifest, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, entry := range manifest.Manifests {
				found = append(found, entry.Platform.String())
				image, err := index.Image(entry.Digest)
				if err != nil {
					t.Fatal(err)
				}
				checkImage(t, image, program)
				checkSBOM(t, reference, entry.Digest)
			}
			slices.Sort(found)
			if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(found, want) {
				t.Errorf("there are images for %v, want %v", found, want)
			}
		})
	}
}

func checkImage(t *testing.T, image v1.Image, program string) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Config.User != "65532:65532" {
		t.Errorf("%s runs as %q, want a non-root user", file.Architecture, file.Config.User)
	}
	for key, want := range map[string]string{"title": program, "version": release, "licenses": "Apache-2.0"} {
		if got := file.Config.Labels["org.opencontainers.image."+key]; got != want {
			t.Errorf("label %s is %q, want %q", key, got, want)
		}
	}
	if len(file.Config.Entrypoint) != 1 {
		t.Fatalf("the image runs %v, want one program", file.Config.Entrypoint)
	}
	text := readFile(t, image, file.Config.Entrypoint[0])
	parsed, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := platforms[file.Architecture]; parsed.Machine != want {
		t.Errorf("the program of %s is for %s", file.Architecture, parsed.Machine)
	}
	if slices.ContainsFunc(parsed.Progs, func(part *elf.Prog) bool { return part.Type == elf.PT_INTERP }) {
		t.Errorf("the program of %s is not static", file.Architecture)
	}
	t.Logf("%s for %s: %.1f MB", program, file.Architecture, float64(len(text))/1e6)
	if file.Architecture == runtime.GOARCH {
		runProgram(t, text, program)
	}
}

// readFile returns a file of an image.
func readFile(t *testing.T, image v1.Image, path string) []byte {
	t.Helper()
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	for files := tar.NewReader(content); ; {
		entry, err := files.Next()
		if err != nil {
			t.Fatalf("looking for %s: %v", path, err)
		}
		if "/"+strings.TrimPrefix(entry.Name, "/") != path {
			continue
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// runProgram checks the version that a released program prints.
func runProgram(t *testing.T, text []byte, program string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := program + " " + release + "\n"; !strings.HasPrefix(string(out), want) {
		t.Errorf("it prints %q, want %q first", out, want)
	}
}

// checkSBOM checks the SPDX document attached to an image, which names the linked modules.
func checkSBOM(t *testing.T, of name.Reference, digest v1.Hash) {
	t.Helper()
	tag := of.Context().Tag(fmt.Sprintf("%s-%s.sbom", digest.Algorithm, digest.Hex))
	attached, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := attached.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%s has %d layers (%v), want 1", tag, len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	var document struct {
		Version  string `json:"spdxVersion"`
		Packages []struct {
			Name string `json:"name"`
		} `json:"packages"`
	}
	if err := json.NewDecoder(content).Decode(&document); err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, linked := range document.Packages {
		packages = append(packages, linked.Name)
	}
	if !strings.HasPrefix(document.Version, "SPDX-") || !slices.Contains(packages, "k8s.io/client-go") {
		t.Errorf("the SBOM is %q of %v, want SPDX with client-go in it", document.Version, packages)
	}
}
