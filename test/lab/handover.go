package lab

import (
	"context"
	"fmt"
	"slices"
)

// HandOver changes the kinds of workloads that Everynode serves, one of the values of Options.Workloads. When
// native DaemonSets are handed over, the former controller stops first, as in docs/takeover.md: for a moment
// none serves them, and never two. A stopped component is not started; the change takes effect at its next
// start.
func (l *Lab) HandOver(ctx context.Context, workloads string) error {
	options := l.options
	options.Workloads = workloads
	if err := options.validate(); err != nil {
		return fmt.Errorf("lab: handing over: %w", err)
	}
	l.options = options
	steps := []func(context.Context) error{l.changeArgs(ControllerManager), l.grantApps, l.changeArgs(Controller)}
	if !options.servesApps() {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("lab: handing over: %w", err)
		}
	}
	return nil
}

// changeArgs restarts a component with the arguments of the current options.
func (l *Lab) changeArgs(name string) func(context.Context) error {
	c := l.components[name]
	return func(ctx context.Context) error {
		args, err := l.understoodArgs(c, c.path)
		if err != nil {
			return err
		}
		return c.change(ctx, args)
	}
}

// grantApps grants or revokes everynode-controller's permissions for native DaemonSets.
func (l *Lab) grantApps(ctx context.Context) error {
	objects, err := readManifest(l.options.Release.Apps)
	if err != nil {
		return err
	}
	installer, err := l.newInstaller()
	if err != nil {
		return err
	}
	for _, object := range objects {
		if l.options.servesApps() {
			err = installer.apply(ctx, object)
		} else {
			err = installer.remove(ctx, object)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
