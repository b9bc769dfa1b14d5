// Command images packs a static program into a container image, without a container runtime and
// without a registry: an archive that docker load, ctr images import and kind load take.
//
//	images PROGRAM NAME:TAG ARCHIVE
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody is the user that the program runs as, whatever the pod says.
const nobody = "65532:65532"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: images PROGRAM NAME:TAG ARCHIVE")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func pack(program, reference, archive string) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	path := "/" + filepath.Base(program)
	files, err := layer(program, path)
	if err != nil {
		return err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files)), nil
	})
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{path}
	config.Config.User = nobody
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	return tarball.WriteToFile(archive, tag, image)
}

// layer holds the program alone, with no time stamps: the same program makes the same image.
func layer(program, path string) ([]byte, error) {
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	files := tar.NewWriter(&out)
	header := &tar.Header{Name: path[1:], Mode: 0o755, Size: int64(len(data))}
	if err := files.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := files.Write(data); err != nil {
		return nil, err
	}
	return out.Bytes(), files.Close()
}
