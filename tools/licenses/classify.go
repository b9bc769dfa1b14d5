package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/licensecheck"
)

// accepted are licenses that permit distribution of a program with its own license, provided that notices are kept.
var accepted = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// recognized is the least part of a file's text, in percent, that known licenses cover. The rest are copyright notices and
// introductions.
const recognized = 75

// ignored are files that are not about code, with the reason.
var ignored = map[string]string{
	"github.com/opencontainers/go-digest/LICENSE.docs": "the license of the module's documentation, which no program contains",
}

// classify sets the licenses of a module.
func (m *module) classify() error {
	files, err := m.files()
	if err != nil {
		return err
	}
	for _, file := range files {
		inside, err := filepath.Rel(m.folder, file)
		if err != nil {
			return err
		}
		if _, ignore := ignored[m.path+"/"+inside]; ignore {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		names, err := licensesOf(text)
		if err != nil {
			return fmt.Errorf("%s %s: %s: %w", m.path, m.version, inside, err)
		}
		m.licenses = append(m.licenses, names...)
	}
	slices.Sort(m.licenses)
	if m.licenses = slices.Compact(m.licenses); len(m.licenses) == 0 {
		return fmt.Errorf("%s %s has no license", m.path, m.version)
	}
	return nil
}

// licensesOf returns the licenses in a text, all of which are accepted.
func licensesOf(text []byte) ([]string, error) {
	coverage := licensecheck.Scan(text)
	if coverage.Percent < recognized {
		return nil, fmt.Errorf("%.0f %% of the text is a known license, want %d %%: read it", coverage.Percent, recognized)
	}
	var names []string
	for _, match := range coverage.Match {
		if !slices.Contains(accepted, match.ID) {
			return nil, fmt.Errorf("%s is not an accepted license (tools/licenses/classify.go)", match.ID)
		}
		names = append(names, match.ID)
	}
	return names, nil
}
