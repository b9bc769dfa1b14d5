package faults

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	faultRow = regexp.MustCompile(`^\| (F\d+) \|`)
	testName = regexp.MustCompile("`(Test[A-Za-z0-9]+|make [a-z-]+)`")
)

// The table of docs/reliability.md has each fault of the matrix, with tests that exist; and it has every test of this package.
func TestMatrix(t *testing.T) {
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command("grep", "-rhoE", "--include=*_test.go", `^func Test[A-Za-z0-9]+\(`, "../..").Output()
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		exist[strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "func "), "(")] = true
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		exist["make "+target[1]] = true
	}
	rows, named := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		row := faultRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		tests := testName.FindAllStringSubmatch(line, -1)
		rows[row[1]] = len(tests) > 0
		for _, test := range tests {
			if named[test[1]] = true; !exist[test[1]] {
				t.Errorf("%s names %s, which does not exist", row[1], test[1])
			}
		}
	}
	for i := 1; i <= 20; i++ {
		if id := fmt.Sprintf("F%d", i); !rows[id] {
			t.Errorf("no test is named for %s", id)
		}
	}
	for name := range exist {
		if ours := regexp.MustCompile(`^TestF\d\d`); ours.MatchString(name) && !named[name] {
			t.Errorf("the table does not have %s", name)
		}
	}
}
