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

// gcHeadroom counts as memory in use and is never touched, so that it takes none: Go collects garbage when
// as much has gathered as is in use, and with so little in use that would be several times a second in
// a rollout. A percentage (GOGC) would do as much here, but cost a large cluster's scheduler gigabytes.
const gcHeadroom = 128 << 20

func main() {
	headroom := make([]byte, gcHeadroom)
	code := cli.Run(newCommand())
	runtime.KeepAlive(headroom)
	os.Exit(code)
}
