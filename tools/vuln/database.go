package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// entry has those parts of a report (https://ossf.github.io/osv-schema) that the database's index needs.
type entry struct {
	ID       string `json:"id"`
	Modified string `json:"modified"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
	} `json:"affected"`
}

// A moduleIndex lists the reports about a module (https://go.dev/doc/security/vuln/database#api). Its optional field
// "fixed", by which clients save requests, is omitted.
type moduleIndex struct {
	Path  string       `json:"path"`
	Vulns []vulnerable `json:"vulns"`
}

type vulnerable struct {
	ID       string `json:"id"`
	Modified string `json:"modified"`
}

// buildDatabase writes a vulnerability database of the reports in a folder of golang.org/x/vulndb, and returns the
// number of reports.
func buildDatabase(vulndb, database string) (int, error) {
	files, err := filepath.Glob(filepath.Join(vulndb, "data", "osv", "GO-*.json"))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("%s has no reports in data/osv: is it a version of golang.org/x/vulndb?", vulndb)
	}
	if err := os.MkdirAll(filepath.Join(database, "ID"), 0o755); err != nil {
		return 0, err
	}
	modules, latest := map[string]*moduleIndex{}, ""
	for _, file := range files {
		report, err := copyReport(file, filepath.Join(database, "ID"))
		if err != nil {
			return 0, err
		}
		latest = max(latest, report.Modified)
		addTo(modules, report)
	}
	return len(files), writeIndex(filepath.Join(database, "index"), modules, latest)
}

func copyReport(file, folder string) (*entry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	report := &entry{}
	if err := json.Unmarshal(text, report); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return report, os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o644)
}

// addTo adds a report once to the index of each module that it is about.
func addTo(modules map[string]*moduleIndex, report *entry) {
	this := vulnerable{report.ID, report.Modified}
	for _, affected := range report.Affected {
		path := affected.Package.Name
		if modules[path] == nil {
			modules[path] = &moduleIndex{Path: path}
		}
		if index := modules[path]; !slices.Contains(index.Vulns, this) {
			index.Vulns = append(index.Vulns, this)
		}
	}
}

func writeIndex(folder string, modules map[string]*moduleIndex, latest string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	sorted := []*moduleIndex{}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		sorted = append(sorted, modules[path])
	}
	for name, content := range map[string]any{"modules.json": sorted, "db.json": map[string]string{"modified": latest}} {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
