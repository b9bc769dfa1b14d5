package docs

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// Sizes, in lines, that keep a function on a screen and a file to one concern (CONTRIBUTING.md, Habits).
const (
	maxFunction        = 60
	maxFunctionAtP90   = 22
	maxFile            = 400
	shownLongFunctions = 25
)

// sized is a function or a file with its number of lines.
type sized struct {
	where string
	lines int
}

func (s sized) String() string { return fmt.Sprintf("%4d lines: %s", s.lines, s.where) }

// Functions and files outside tests are short; generated files are not counted.
func TestFunctionsAndFilesAreShort(t *testing.T) {
	functions, files := measure(t)
	if len(functions) == 0 || len(files) == 0 {
		t.Fatal("nothing was measured")
	}
	for _, file := range files {
		if file.lines > maxFile {
			t.Errorf("%v: a file has at most %d: split it by concern", file, maxFile)
		}
	}
	for _, function := range functions {
		if function.lines > maxFunction {
			t.Errorf("%v: a function has at most %d: split it", function, maxFunction)
		}
	}
	p90 := functions[len(functions)/10].lines
	t.Logf("%d functions, p90 %d lines, longest %d; %d files, longest %d", len(functions), p90, functions[0].lines, len(files), files[0].lines)
	if p90 > maxFunctionAtP90 {
		t.Errorf("one function in ten has %d lines or more: at most %d is allowed; the longest functions:", p90, maxFunctionAtP90)
		for _, function := range functions[:min(shownLongFunctions, len(functions))] {
			t.Log(function)
		}
	}
}

// measure returns all functions and all files of the product and its tools, longest first.
func measure(t *testing.T) (functions, files []sized) {
	t.Helper()
	for path, source := range sources(t) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, root+"/test/") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if ast.IsGenerated(file) {
			continue
		}
		files = append(files, sized{path, strings.Count(source, "\n")})
		for _, declared := range file.Decls {
			function, ok := declared.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			begin, end := set.Position(function.Pos()), set.Position(function.End())
			functions = append(functions, sized{fmt.Sprintf("%s:%d %s", path, begin.Line, function.Name.Name), end.Line - begin.Line + 1})
		}
	}
	longestFirst := func(a, b sized) int { return cmp.Or(b.lines-a.lines, strings.Compare(a.where, b.where)) }
	slices.SortFunc(functions, longestFirst)
	slices.SortFunc(files, longestFirst)
	return functions, files
}
