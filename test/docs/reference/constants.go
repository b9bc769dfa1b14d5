package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Group is a declaration of constants, with its comment.
type Group struct {
	Doc       string
	Constants []Constant
}

// Constant is a constant of type string. Doc is its comment without its name.
type Constant struct{ Name, Value, Doc string }

// Constants returns the declarations of constants in a file of Go, each of which has a comment: "Name: what it means".
func Constants(path string) ([]Group, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var groups []Group
	for _, declared := range file.Decls {
		constants, ok := declared.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		group := Group{Doc: strings.TrimSpace(constants.Doc.Text())}
		for _, spec := range constants.Specs {
			constant, err := constantOf(spec.(*ast.ValueSpec))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			group.Constants = append(group.Constants, constant)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func constantOf(spec *ast.ValueSpec) (Constant, error) {
	name := spec.Names[0].Name
	if len(spec.Values) != 1 {
		return Constant{}, fmt.Errorf("%s has no value of its own", name)
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return Constant{}, fmt.Errorf("%s is not a string literal", name)
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return Constant{}, fmt.Errorf("%s: %w", name, err)
	}
	doc, _ := strings.CutPrefix(strings.TrimSpace(spec.Doc.Text()), name)
	return Constant{Name: name, Value: value, Doc: strings.TrimPrefix(doc, ": ")}, nil
}
