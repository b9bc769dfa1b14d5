// Package pluginargs decodes the arguments of this project's plugins under pluginConfig.
package pluginargs

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Decode decodes the args of a plugin into a value that holds their defaults. An unknown field is an error,
// because a misspelt setting would have no effect. Without args the defaults stay.
//
// The scheduler passes the args of out-of-tree plugins as *runtime.Unknown (k8s.io/kubernetes
// pkg/scheduler/framework/runtime DecodeInto, which is not strict).
func Decode(plugin string, args runtime.Object, into any) error {
	if args == nil {
		return nil
	}
	raw, ok := args.(*runtime.Unknown)
	if !ok {
		return fmt.Errorf("plugin %s: its args are a %T: remove apiVersion and kind from its entry under pluginConfig", plugin, args)
	}
	if err := yaml.UnmarshalStrict(raw.Raw, into); err != nil {
		return fmt.Errorf("plugin %s: correct its args under pluginConfig: %w", plugin, err)
	}
	return nil
}

// None checks that a plugin without arguments gets none.
func None(plugin string, args runtime.Object) error {
	if args == nil {
		return nil
	}
	return fmt.Errorf("plugin %s takes no arguments: remove its entry under pluginConfig", plugin)
}
