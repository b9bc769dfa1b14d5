// Command everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every
// flag and the configuration file are kube-scheduler's own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version as a metric
)

func main() { os.Exit(cli.Run(newCommand())) }
