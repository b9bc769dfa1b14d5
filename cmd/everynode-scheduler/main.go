// Command everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every
// flag and the configuration file are kube-scheduler's own.
package main

import (
	"os"
	"runtime"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version as a metric
)

// gcHeadroom counts as live heap and is never touched, so it uses no memory. Go collects garbage when the heap
// has doubled, and with a small heap that would be several times a second in a rollout. A percentage (GOGC)
// would have the same effect, but cost a large cluster's scheduler gigabytes.
const gcHeadroom = 128 << 20

func main() {
	headroom := make([]byte, gcHeadroom)
	code := cli.Run(newCommand())
	runtime.KeepAlive(headroom)
	os.Exit(code)
}
