// Package pluginargs reads what an operator writes under pluginConfig for a plugin of this
// project.
package pluginargs

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// Decode reads the args of a plugin into a value that holds their defaults. A field that does not
// exist is an error: a setting that is misspelt would else be without effect. Args that are
// absent leave the defaults.
//
// The scheduler hands the args of plugins that are not in its tree as *runtime.Unknown
// (k8s.io/kubernetes pkg/scheduler/framework/runtime DecodeInto, which is not strict).
func Decode(plugin string, args runtime.Object, into any) error {
	if args == nil {
		return nil
	}
	raw, ok := args.(*runtime.Unknown)
	if !ok {
		return fmt.Errorf("plugin %s: its args are a %T: leave out apiVersion and kind of its entry under pluginConfig", plugin, args)
	}
	if err := yaml.UnmarshalStrict(raw.Raw, into); err != nil {
		return fmt.Errorf("plugin %s: correct its args under pluginConfig: %w", plugin, err)
	}
	return nil
}

// None is for plugins without args.
func None(plugin string, args runtime.Object) error {
	if args == nil {
		return nil
	}
	return fmt.Errorf("plugin %s takes no arguments: remove its entry under pluginConfig", plugin)
}
