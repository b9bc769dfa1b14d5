package simulation

import (
	"fmt"
	"time"

	"github.com/everynode/everynode/test/faults/history"
)

// decisive are the resources on which the requests of a controller depend.
var decisive = [...]history.Resource{
	history.Pods, history.Nodes, history.DaemonSets, history.NativeDaemonSets, history.RuntimeClasses, history.ControllerRevisions,
	history.ConfigMaps,
}

// knowledge is what a process had seen when a task began: it plans by that, whatever is delivered while it is suspended.
type knowledge struct {
	at   time.Time
	from int64
	to   [len(decisive)]int64 // the revision of the last change that was delivered
}

// knowledge returns what the process has seen. What it has not listed yet counts as seen, as its list will show it: nothing may be
// done before.
func (p *process) knowledge() (k knowledge) {
	k.at = p.cluster.clock.Now()
	for n, resource := range decisive {
		i := p.see(resource)
		if i == nil {
			continue
		}
		listed, seen := i.listed, i.seen
		if i.cursor == nil {
			listed, seen = p.since, p.since
		}
		if resource == history.Pods {
			k.from = max(listed, p.forgot)
		}
		k.to[n] = seen
	}
	return k
}

// view returns the knowledge in the form of a history.
func (k *knowledge) view(process string) *history.View {
	to := make(map[history.Resource]int64, len(decisive))
	for n, revision := range k.to {
		to[decisive[n]] = revision
	}
	return &history.View{Process: process, At: k.at, From: k.from, To: to}
}

// identity names the process.
func (p *process) identity() string {
	return fmt.Sprintf("%s-%d", p.controller.name, p.controller.starts)
}
