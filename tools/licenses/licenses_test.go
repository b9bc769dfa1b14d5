package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	isc = `Copyright (c) 2026 Somebody

Permission to use, copy, modify, and distribute this software for any
purpose with or without fee is hereby granted, provided that the above
copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`
	mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`
	agpl = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU Affero General Public License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version."
)

// A license that is not accepted, a text that is none, and a module without a license fail.
func TestClassify(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		want  []string
		fails string
	}{
		"one":                        {map[string]string{"LICENSE": isc}, []string{"ISC"}, ""},
		"of a package":               {map[string]string{"LICENSE": isc, "a/COPYING.txt": mit}, []string{"ISC", "MIT"}, ""},
		"of a package not imported":  {map[string]string{"LICENSE": isc, "b/LICENSE": agpl}, []string{"ISC"}, ""},
		"not accepted":               {map[string]string{"LICENSE": isc, "a/LICENSE": agpl}, nil, "is not an accepted license"},
		"unknown":                    {map[string]string{"LICENSE": "Ask me."}, nil, "0 % of the text is a known license"},
		"none":                       {map[string]string{"README": isc, "license.go": isc}, nil, "has no license"},
		"known and unknown together": {map[string]string{"LICENSE": isc + strings.Repeat("But nobody may sell the program, or use it on Mondays. ", 20)}, nil, "% of the text is a known license"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, text := range test.files {
				path := filepath.Join(folder, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			inside := filepath.Join(folder, "a")
			if err := os.MkdirAll(inside, 0o755); err != nil {
				t.Fatal(err)
			}
			m := &module{path: "example.com/m", version: "v1.0.0", folder: folder, packages: map[string]bool{inside: true}}
			err := m.classify()
			switch {
			case test.fails == "" && (err != nil || !slices.Equal(m.licenses, test.want)):
				t.Errorf("%v, %v, want %v", m.licenses, err, test.want)
			case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
				t.Errorf("%v, want: %s", err, test.fails)
			}
		})
	}
}

// The page lists this program's own dependencies.
func TestRun(t *testing.T) {
	var text strings.Builder
	if err := run(".", []string{"."}, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"contain packages of 1 modules", "| `github.com/google/licensecheck` | v0.3.1 | BSD-3-Clause |", "| `std` | " + goVersion() + " | BSD-3-Clause |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the page does not contain %q:\n%s", want, text.String())
		}
	}
}
