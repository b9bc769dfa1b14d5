// Command everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every
// flag and the configuration file are kube-scheduler's own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version as a metric

	"github.com/everynode/everynode/internal/garbage"
)

// room is how much garbage may accumulate before it is collected: as Go's default on a large heap. A small heap would
// double, and be collected, several times a second in a rollout; a higher percentage (GOGC) would cost a large cluster's
// scheduler gigabytes.
var room = garbage.Room{Share: 100, Bytes: 160 << 20}

func main() {
	room.Keep()
	os.Exit(cli.Run(newCommand()))
}
