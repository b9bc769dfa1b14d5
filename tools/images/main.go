// Command images packs a static program into a container image, without a container runtime and without a
// registry: an archive that docker load, ctr images import and kind load accept.
//
//	images [-files FOLDER] [-user USER] [-arg ARG] [-label KEY=VALUE]… PROGRAM NAME:TAG[,NAME:TAG…] ARCHIVE
package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody is the user of the program, unless the pod or -user sets another.
const nobody = "65532:65532"

type options struct {
	program, references, archive string
	// files is a folder whose content is added to the image's root; "" means none.
	files string
	user  string
	// arg is the program's argument if the pod sets none.
	arg    string
	labels labels
}

// labels is a flag that may be repeated.
type labels map[string]string

func (l labels) String() string { return "" }

func (l labels) Set(label string) error {
	key, value, ok := strings.Cut(label, "=")
	if !ok || key == "" {
		return fmt.Errorf("label %q: set key=value", label)
	}
	l[key] = value
	return nil
}

func main() {
	o := options{labels: labels{}}
	flag.StringVar(&o.files, "files", "", "folder whose content is added to the image's root")
	flag.StringVar(&o.user, "user", nobody, "user that the program runs as")
	flag.StringVar(&o.arg, "arg", "", "argument of the program if the pod sets none")
	flag.Var(o.labels, "label", "label of the image, as key=value; may be repeated")
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "usage: images [flags] PROGRAM NAME:TAG[,NAME:TAG…] ARCHIVE")
		flag.PrintDefaults()
		os.Exit(2)
	}
	o.program, o.references, o.archive = flag.Arg(0), flag.Arg(1), flag.Arg(2)
	if err := pack(o); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func pack(o options) error {
	architecture, err := static(o.program)
	if err != nil {
		return err
	}
	path := "/" + filepath.Base(o.program)
	files, err := layer(o.program, path, o.files)
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
	config.OS, config.Architecture = "linux", architecture
	config.Config.Entrypoint = []string{path}
	config.Config.User = o.user
	config.Config.Labels = o.labels
	if o.arg != "" {
		config.Config.Cmd = []string{o.arg}
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	tags := map[name.Tag]v1.Image{}
	for reference := range strings.SplitSeq(o.references, ",") {
		tag, err := name.NewTag(reference)
		if err != nil {
			return err
		}
		tags[tag] = image
	}
	return tarball.MultiWriteToFile(o.archive, tags)
}

// architectures are those that Kubernetes supports, by their ELF name.
var architectures = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// static returns a program's architecture. It refuses a program that needs a dynamic loader, which the image
// does not contain.
func static(program string) (architecture string, err error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("%s is not a program for Linux: %w", program, err)
	}
	defer func() { _ = file.Close() }()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically, and the image contains no loader: build it with CGO_ENABLED=0", program)
		}
	}
	architecture, known := architectures[file.Machine]
	if !known {
		return "", fmt.Errorf("%s is for %s: use amd64 or arm64", program, file.Machine)
	}
	return architecture, nil
}

// layer holds the program and the folder's content, without owners and time stamps: the same files give the
// same image.
func layer(program, path, folder string) ([]byte, error) {
	var out bytes.Buffer
	files := tar.NewWriter(&out)
	if err := add(files, program, path[1:]); err != nil {
		return nil, err
	}
	if folder != "" {
		err := filepath.WalkDir(folder, func(file string, _ fs.DirEntry, err error) error {
			if err != nil || file == folder {
				return err
			}
			inside, err := filepath.Rel(folder, file)
			if err != nil {
				return err
			}
			return add(files, file, inside)
		})
		if err != nil {
			return nil, err
		}
	}
	return out.Bytes(), files.Close()
}

// add writes a file, a folder without its content, or a symbolic link. All users may read and execute it,
// whatever the umask was.
func add(files *tar.Writer, file, inside string) error {
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: inside, Typeflag: tar.TypeReg, Mode: 0o755, Size: info.Size()}
	switch {
	case info.IsDir():
		header.Typeflag, header.Size = tar.TypeDir, 0
	case info.Mode()&fs.ModeSymlink != 0:
		header.Typeflag, header.Size = tar.TypeSymlink, 0
		if header.Linkname, err = os.Readlink(file); err != nil {
			return err
		}
	}
	if err := files.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = files.Write(content)
	return err
}
