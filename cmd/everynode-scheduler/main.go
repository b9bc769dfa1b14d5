// Command everynode-scheduler is kube-scheduler with Everynode's plugins in its registry: every
// flag and the configuration file are kube-scheduler's own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version as a metric
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/everynode/everynode/schedplugin/uniqueness"
)

func main() {
	command := app.NewSchedulerCommand(app.WithPlugin(uniqueness.Name, uniqueness.New))
	command.Use = "everynode-scheduler"
	os.Exit(cli.Run(command))
}
