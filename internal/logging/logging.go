// Package logging configures the programs' logs with Kubernetes' own flags, as everynode-scheduler does: text
// or JSON.
package logging

import (
	"flag"
	"fmt"

	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
)

// AddFlags adds --logging-format, --v and the other flags of Kubernetes' components. Call apply once after the
// flags are parsed, before anything is logged.
func AddFlags(flags *flag.FlagSet) (apply func() error) {
	config := logsapi.NewLoggingConfiguration()
	logsapi.AddGoFlags(config, flags)
	return func() error {
		if err := logsapi.ValidateAndApply(config, nil); err != nil {
			return fmt.Errorf("the logging flags (--logging-format, --v, --vmodule): %w", err)
		}
		return nil
	}
}
