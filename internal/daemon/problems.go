package daemon

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unique"
)

// What Degraded shows: the causes that concern the most nodes, and of all of them together so many
// bytes of text. Who refuses a pod decides how long its text is: a webhook may answer with megabytes.
const (
	shownCauses    = 3
	shownText      = 1500
	shownNodes     = 3
	ellipsis       = " … "
	lengthOfReason = 600 // what Shorten keeps of the end, at most
)

// Problem is why a cell does not have the pod that it should have.
type Problem struct {
	Reason  string // that of the event
	Message string // the cause, without what leads up to it
	// Cause is Message without the names of the pod and the node: it is the same for every node that
	// has this problem. When it is empty, Message is.
	Cause string
}

// NewProblem makes a problem of an answer, bounded and printable, whatever the answer holds. names are
// those of the pod and the node. Texts are kept once: thousands of cells may have the same one.
func NewProblem(reason, message string, names ...string) Problem {
	message = Shorten(message, shownText)
	return Problem{Reason: reason, Message: unique.Make(message).Value(), Cause: unique.Make(generalize(message, names)).Value()}
}

// generalize replaces names, longest first, for one may be part of another. What a quota counts is left
// out too: the same refusal has other numbers a moment later.
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

// Shorten makes a text of others fit into limit bytes, and keeps only what can be printed. It cuts in
// the middle: some errors begin with their reason, others end with it.
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

// problemGroup is one cause and the nodes that have it, sorted.
type problemGroup struct {
	Problem
	nodes []string
}

// groupProblems puts the nodes that share a cause together. The cause of the most nodes comes first;
// its text is that of the first node by name. So the order of events changes nothing.
func groupProblems(problems map[string]Problem) []*problemGroup {
	type key struct{ reason, cause string }
	byCause := map[key]*problemGroup{}
	for _, node := range slices.Sorted(maps.Keys(problems)) {
		problem := problems[node]
		of := key{problem.Reason, cmp.Or(problem.Cause, problem.Message)}
		if byCause[of] == nil {
			byCause[of] = &problemGroup{Problem: problem}
		}
		byCause[of].nodes = append(byCause[of].nodes, node)
	}
	return slices.SortedFunc(maps.Values(byCause), func(a, b *problemGroup) int {
		return cmp.Or(cmp.Compare(len(b.nodes), len(a.nodes)), cmp.Compare(a.nodes[0], b.nodes[0]))
	})
}

// describeProblems is the reason of the first cause, and a text that begins with it.
func describeProblems(problems map[string]Problem) (reason, message string) {
	groups := groupProblems(problems)
	shown := groups[:min(shownCauses, len(groups))]
	lines := make([]string, 0, shownCauses+1)
	for _, group := range shown {
		lines = append(lines, fmt.Sprintf("%s (%s: %s)", Shorten(group.Message, shownText/len(shown)), count(len(group.nodes), "node"), list(group.nodes, len(group.nodes))))
	}
	if rest := groups[len(shown):]; len(rest) > 0 {
		nodes := 0
		for _, group := range rest {
			nodes += len(group.nodes)
		}
		lines = append(lines, fmt.Sprintf("and %s on %s", count(len(rest), "other cause"), count(nodes, "node")))
	}
	return groups[0].Reason, strings.Join(lines, "; ")
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// list names the first nodes, and how many more there are.
func list(nodes []string, total int) string {
	shown := nodes[:min(shownNodes, len(nodes))]
	text := strings.Join(shown, ", ")
	if more := total - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
