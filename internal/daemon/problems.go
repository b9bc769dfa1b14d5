package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unique"
)

// The contents of Degraded: the causes that concern the most nodes, with a limit of bytes for all of them,
// because a webhook may answer with megabytes.
const (
	shownCauses    = 3
	shownText      = 1500
	shownNodes     = 3
	ellipsis       = " … "
	lengthOfReason = 600 // the most that Shorten keeps of the end
)

// Problem is why a cell does not have the pod that it should have.
type Problem struct {
	Reason  string // that of the event
	Message string // the cause, without its introduction
	// Cause is Message without the names of the pod and the node: it is the same for every node that has this
	// problem. When it is empty, Message is.
	Cause string
}

// NewProblem turns an answer into a problem, bounded and printable. names are those of the pod and the node.
// Texts are stored once, because thousands of cells may have the same one.
func NewProblem(reason, message string, names ...string) Problem {
	message = Shorten(message, shownText)
	return Problem{Reason: reason, Message: unique.Make(message).Value(), Cause: unique.Make(generalize(message, names)).Value()}
}

// generalize replaces names, longest first, because one may contain another. It also removes a quota's current
// usage, which changes all the time.
func generalize(message string, names []string) string {
	names = slices.SortedFunc(slices.Values(names), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, name := range names {
		if name != "" {
			message = strings.ReplaceAll(message, name, "*")
		}
	}
	before, rest, quota := strings.Cut(message, ", used: ")
	if _, after, limited := strings.Cut(rest, ", limited: "); quota && limited {
		message = before + ", limited: " + after
	}
	return message
}

// Shorten limits foreign text to limit bytes, and keeps only printable characters. It cuts in the middle: some
// errors begin with their reason, others end with it.
func Shorten(text string, limit int) string {
	if len(text) > limit {
		tail := min((limit-len(ellipsis))/3, lengthOfReason)
		head := limit - len(ellipsis) - tail
		text = strings.ToValidUTF8(text[:head], "") + ellipsis + strings.ToValidUTF8(text[len(text)-tail:], "")
	}
	printable := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(printable), " ")
}

// ProblemGroup is one cause and the first nodes that have it.
type ProblemGroup struct {
	Problem
	Nodes []string
	Total int
	Since time.Time // of the first node, if known
}

// groupProblems groups nodes by cause, in the order of their names. The text of a cause is that of its first
// node, so it does not depend on the order of events.
func groupProblems(problems map[string]Problem) []ProblemGroup {
	type key struct{ reason, cause string }
	var groups []ProblemGroup
	at := map[key]int{}
	for _, node := range slices.Sorted(maps.Keys(problems)) {
		problem := problems[node]
		of := key{problem.Reason, cmp.Or(problem.Cause, problem.Message)}
		if _, known := at[of]; !known {
			at[of] = len(groups)
			groups = append(groups, ProblemGroup{Problem: problem})
		}
		group := &groups[at[of]]
		group.Nodes, group.Total = append(group.Nodes, node), group.Total+1
	}
	sortGroups(groups)
	return groups
}

// sortGroups puts the cause of the most nodes first.
func sortGroups(groups []ProblemGroup) {
	slices.SortFunc(groups, func(a, b ProblemGroup) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Nodes[0], b.Nodes[0]), cmp.Compare(a.Message, b.Message))
	})
}

// describeGroups returns a text that begins with the first cause.
func describeGroups(groups []ProblemGroup) string {
	shown := groups[:min(shownCauses, len(groups))]
	lines := make([]string, 0, shownCauses+1)
	for _, group := range shown {
		lines = append(lines, fmt.Sprintf("%s (%s: %s)", Shorten(group.Message, shownText/len(shown)), count(group.Total, "node"), list(group.Nodes, group.Total)))
	}
	if rest := groups[len(shown):]; len(rest) > 0 {
		nodes := 0
		for _, group := range rest {
			nodes += group.Total
		}
		lines = append(lines, fmt.Sprintf("and %s on %s", count(len(rest), "other cause"), count(nodes, "node")))
	}
	return strings.Join(lines, "; ")
}

// count formats a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// list lists the first nodes, and how many more there are.
func list(nodes []string, total int) string {
	shown := nodes[:min(shownNodes, len(nodes))]
	text := strings.Join(shown, ", ")
	if more := total - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
