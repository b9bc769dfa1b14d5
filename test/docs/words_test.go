package docs

import (
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A phrase is one that is not idiomatic English, and what to write instead.
type phrase struct {
	found   *regexp.Regexp
	instead string
}

func avoid(pattern, instead string) phrase {
	return phrase{regexp.MustCompile(`(?i)` + pattern), instead}
}

var avoided = []phrase{
	avoid(`(^|[^-\w])anew\b`, "again; recreated; resets"),
	avoid(`\bfor ever\b`, "indefinitely"),
	avoid(`\bby hand\b`, "manually"),
	avoid(`\btimes in a row\b|\brequests in a row\b`, "consecutive"),
	avoid(`\bon (its|their) way out\b`, "terminating"),
	avoid(`\black(s|ing)?\b`, "has no; without; does not contain"),
	avoid(`\b(is|was|are|were) away\b`, "is unreachable; was disconnected"),
	avoid(`\blate cache\b`, "stale cache"),
	avoid(`\bway of a pod\b`, "life of a pod"),
	avoid(`\bcomes? to (be right|rest)\b`, "is eventually consistent; converges"),
	avoid(`\bgo(es)? over to\b`, "switch to"),
	avoid(`\b(give|gives|given|gave|grants?|granted) leave\b`, "a permit"),
	avoid(`\bmay (little|less)\b`, "has least privilege"),
	avoid(`\b(in|no|a \w+'s) trouble\b|\btroublesome\b`, "problem; failing"),
	avoid(`\bmend(s|ed|ing)?\b`, "fix; repair"),
	avoid(`\bhave it (told|called)\b`, "report it; its name is"),
	avoid(`\bin the place of\b`, "in place of"),
	avoid(`\bfor want of\b`, "because there is no; without"),
	avoid(`\bat the least\b`, "at least"),
	avoid(`\bword for word\b`, "verbatim"),
	avoid(`\bnone of .{1,30} business\b`, "not affected by; does not concern"),
	avoid(`\bnothing is proven\b`, "the test proves nothing"),
	avoid(`\b(is|are) fresh\b`, "is up to date"),
	avoid(`\btells? (of|what|why)\b`, "reports; shows"),
}

// Comments, messages and documentation use none of the phrases.
func TestWords(t *testing.T) {
	for path, texts := range written(t) {
		for _, text := range texts {
			for _, avoided := range avoided {
				if found := avoided.found.FindString(text); found != "" {
					t.Errorf("%s: instead of %q write: %s\n\t%.200s", path, strings.TrimSpace(found), avoided.instead, text)
				}
			}
		}
	}
}

// Patterns match, and the check reads the comments and strings of Go files.
func TestWordsAreFound(t *testing.T) {
	source := "package p\n\n// It is made anew.\nvar message = \"it waits for ever\"\nvar lacks = 1\n"
	texts := proseOfGo([]byte(source))
	var found int
	for _, text := range texts {
		for _, avoided := range avoided {
			if avoided.found.MatchString(text) {
				found++
			}
		}
	}
	if found != 2 {
		t.Errorf("%d phrases in %q, want 2: in the comment and the message, not the identifier", found, texts)
	}
}

// written returns the texts of all files of the repository that are not generated, by path.
func written(t *testing.T) map[string][]string {
	t.Helper()
	listed, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files").Output()
	if err != nil {
		t.Skipf("not a clone: %v", err)
	}
	texts := map[string][]string{}
	for path := range strings.Lines(string(listed)) {
		path = strings.TrimSpace(path)
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml", ".tpl", ".sh", ".txt":
		default:
			continue
		}
		switch {
		case path == "CHANGELOG.md", path == "test/docs/words_test.go", strings.Contains(path, "testdata/"), strings.HasPrefix(path, "deploy/install"):
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			continue // deleted, and not committed yet
		}
		if filepath.Ext(path) == ".go" {
			texts[path] = proseOfGo(text)
		} else {
			texts[path] = strings.Split(string(text), "\n")
		}
	}
	return texts
}

// proseOfGo returns the comments and strings of a Go file.
func proseOfGo(source []byte) (texts []string) {
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile("", -1, len(source)), source, nil, scanner.ScanComments)
	for {
		switch _, kind, text := s.Scan(); kind {
		case token.EOF:
			return texts
		case token.COMMENT, token.STRING:
			texts = append(texts, text)
		}
	}
}
