package lab

import (
	"context"
	"fmt"
	"slices"
)

// HandOver has Everynode serve other kinds of workloads from now on, one of the values of
// Options.Workloads. When native DaemonSets change hands, who had them ends first, as
// docs/takeover.md has it: nobody serves them for a moment, and never two do. A component that
// does not run is not started; it does its part from its next start on.
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

// changeArgs has a component run with what the options say now.
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

// grantApps gives everynode-controller what it needs to serve native DaemonSets, or takes it away.
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
			_, err = installer.apply(ctx, object)
		} else {
			err = installer.remove(ctx, object)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
