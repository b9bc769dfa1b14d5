package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Variable is the environment variable that chooses a mutant.
const Variable = "EVERYNODE_MUTANT"

// conditionFile is added to each package with edits.
const conditionFile = "zz_mutants.go"

// WriteOverlay applies all edits to copies in a folder, and returns the file for go build -overlay.
func WriteOverlay(root, folder string) (file string, err error) {
	edited, err := apply(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range edited {
		copied := filepath.Join(folder, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = copied
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}

// apply returns the edited files, and those with the conditions, by their names below the root.
func apply(root string) (map[string]string, error) {
	edited := map[string]string{}
	for _, e := range edits {
		text, known := edited[e.file]
		if !known {
			data, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			text = string(data)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("%s contains the text that a mutant replaces %d times, want once: %q", e.file, n, e.old)
		}
		edited[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	for name := range edited {
		folder := filepath.Dir(name)
		edited[filepath.Join(folder, conditionFile)] = fmt.Sprintf(condition, filepath.Base(folder))
	}
	return edited, nil
}
