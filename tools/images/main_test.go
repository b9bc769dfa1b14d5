package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// program writes the head of an ELF file with segments of the given types, which is all that is read.
func program(t *testing.T, machine elf.Machine, parts ...elf.ProgType) string {
	t.Helper()
	header := elf.Header64{
		Ident:     [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Phoff:     uint64(binary.Size(elf.Header64{})),
		Phentsize: uint16(binary.Size(elf.Prog64{})),
		Phnum:     uint16(len(parts)),
	}
	var file bytes.Buffer
	write := func(value any) {
		if err := binary.Write(&file, binary.LittleEndian, value); err != nil {
			t.Fatal(err)
		}
	}
	write(header)
	for _, part := range parts {
		write(elf.Prog64{Type: uint32(part)})
	}
	path := filepath.Join(t.TempDir(), "daemon")
	if err := os.WriteFile(path, file.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStatic(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		program string
		want    string
		wantErr string
	}{
		"static":                          {program(t, elf.EM_X86_64, elf.PT_LOAD), "amd64", ""},
		"for another architecture":        {program(t, elf.EM_AARCH64, elf.PT_LOAD), "arm64", ""},
		"for an unsupported architecture": {program(t, elf.EM_S390, elf.PT_LOAD), "", "use amd64 or arm64"},
		"dynamic":                         {program(t, elf.EM_X86_64, elf.PT_LOAD, elf.PT_INTERP), "", "build it with CGO_ENABLED=0"},
		"no program":                      {script, "", "is not a program for Linux"},
		"nothing":                         {none, "", "no such file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := static(test.program)
			if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Fatalf("static: %v, want %q", err, test.wantErr)
			}
			if got != test.want {
				t.Errorf("static = %q, want %q", got, test.want)
			}
		})
	}
}

// A container engine finds the packed files, and packing is reproducible.
func TestPack(t *testing.T) {
	o := options{
		program: program(t, elf.EM_AARCH64, elf.PT_LOAD), references: "everynode/daemon:dev,everynode/daemon:v1",
		user: nobody, arg: "serve", labels: labels{"org.opencontainers.image.title": "daemon"},
	}
	var digests []v1.Hash
	for _, file := range []string{"first.tar", "second.tar"} {
		o.archive = filepath.Join(t.TempDir(), file)
		if err := pack(o); err != nil {
			t.Fatal(err)
		}
		for _, reference := range strings.Split(o.references, ",") {
			tag, err := name.NewTag(reference)
			if err != nil {
				t.Fatal(err)
			}
			image, err := tarball.ImageFromPath(o.archive, &tag)
			if err != nil {
				t.Fatal(err)
			}
			checkImage(t, image)
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest)
		}
	}
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("packing is not reproducible: %v", digests)
	}
}

func checkImage(t *testing.T, image v1.Image) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	if file.OS != "linux" || file.Architecture != "arm64" {
		t.Errorf("the image is for %s/%s, want linux/arm64", file.OS, file.Architecture)
	}
	if config.User != "65532:65532" {
		t.Errorf("the program runs as %q, want nobody", config.User)
	}
	if !slices.Equal(config.Entrypoint, []string{"/daemon"}) || !slices.Equal(config.Cmd, []string{"serve"}) {
		t.Errorf("the image runs %v %v, want /daemon serve", config.Entrypoint, config.Cmd)
	}
	if want := map[string]string{"org.opencontainers.image.title": "daemon"}; !maps.Equal(config.Labels, want) {
		t.Errorf("labels %v, want %v", config.Labels, want)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v), want 1", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	files := tar.NewReader(content)
	entry, err := files.Next()
	if err != nil || entry.Name != "daemon" || entry.Mode != 0o755 {
		t.Fatalf("the first file is %+v (%v), want the program, executable by all users", entry, err)
	}
	if next, err := files.Next(); err != io.EOF {
		t.Errorf("unexpected file beside the program: %+v (%v)", next, err)
	}
}

func TestLabelsAreRefused(t *testing.T) {
	for _, label := range []string{"", "key", "=value"} {
		if err := (labels{}).Set(label); err == nil {
			t.Errorf("label %q is accepted, want an error", label)
		}
	}
}
