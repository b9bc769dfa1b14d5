package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/everynode/everynode/deploy"
)

// Release is a build of Everynode: its programs and manifests.
type Release struct {
	// Programs is the folder of the programs; "" means that of EVERYNODE_PROGRAMS or else bin/ of the source
	// tree.
	Programs string
	// Install, Apps, Policy and Primary are manifests, as in package deploy.
	Install, Apps, Policy, Primary []byte
}

// Present is the release of the source tree.
func Present() *Release {
	return &Release{Install: deploy.Install, Apps: deploy.Apps, Policy: deploy.Policy, Primary: deploy.Primary}
}

// ReadRelease reads the output of hack/build-former.sh from a folder.
func ReadRelease(dir string) (*Release, error) {
	release := &Release{Programs: dir}
	for file, manifest := range map[string]*[]byte{
		"install-selfmanaged.yaml": &release.Install,
		"variants/apps.yaml":       &release.Apps,
		"variants/policy.yaml":     &release.Policy,
		"variants/primary.yaml":    &release.Primary,
	} {
		data, err := os.ReadFile(filepath.Join(dir, "deploy", file))
		if err != nil {
			return nil, fmt.Errorf("reading a release: %w", err)
		}
		*manifest = data
	}
	return release, nil
}

// manifests returns those that a lab with these options installs.
func (r *Release) manifests(o *Options) [][]byte {
	manifests := [][]byte{r.Install}
	if o.servesApps() {
		manifests = append(manifests, r.Apps)
	}
	if o.Scheduler == SchedulerPrimary {
		manifests = append(manifests, r.Primary)
	}
	if o.Placement == PlacementPolicy {
		manifests = append(manifests, r.Policy)
	}
	return manifests
}

// programs returns the paths of Everynode's programs, by name.
func (r *Release) programs(root string) map[string]string {
	dir := r.Programs
	if dir == "" {
		dir = cmp.Or(os.Getenv("EVERYNODE_PROGRAMS"), filepath.Join(root, "bin"))
	}
	paths := map[string]string{}
	for _, name := range ComponentNames {
		if isEverynode(name) {
			paths[name] = filepath.Join(dir, name)
		}
	}
	return paths
}

// understood removes arguments that a program of another release does not know.
func understood(path string, args []string) ([]string, error) {
	help, err := exec.Command(path, "--help").CombinedOutput()
	if failure := new(exec.ExitError); err != nil && !errors.As(err, &failure) {
		return nil, fmt.Errorf("querying the flags of %s: %w", path, err)
	}
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return !slices.ContainsFunc(strings.Fields(string(help)), func(word string) bool { return strings.TrimLeft(word, "-") == name && strings.HasPrefix(word, "-") })
	}), nil
}

// Move replaces Everynode by another release as Helm does: first the manifests, then the programs one after the
// other. Objects that the other release does not contain are removed, except CRDs and namespaces.
func (l *Lab) Move(ctx context.Context, to *Release) error {
	from := l.options.Release
	l.options.Release = to
	for _, manifest := range to.manifests(&l.options) {
		if err := l.install(ctx, manifest); err != nil {
			return fmt.Errorf("lab: moving to another release: %w", err)
		}
	}
	if err := l.removeLeft(ctx, from, to); err != nil {
		return fmt.Errorf("lab: moving to another release: %w", err)
	}
	if err := l.authenticate(ctx); err != nil {
		return fmt.Errorf("lab: moving to another release: %w", err)
	}
	for name, path := range to.programs(l.options.Root) {
		if err := l.replaceProgram(ctx, l.components[name], path); err != nil {
			return fmt.Errorf("lab: moving to another release: %w", err)
		}
	}
	return nil
}

// removeLeft removes the objects that one release installed and another does not contain.
func (l *Lab) removeLeft(ctx context.Context, from, to *Release) error {
	identity := func(object *unstructured.Unstructured) string {
		return object.GroupVersionKind().GroupKind().String() + " " + object.GetNamespace() + "/" + object.GetName()
	}
	wanted := map[string]bool{}
	for _, manifest := range to.manifests(&l.options) {
		objects, err := readManifest(manifest)
		if err != nil {
			return err
		}
		for _, object := range objects {
			wanted[identity(object)] = true
		}
	}
	installer, err := l.newInstaller()
	if err != nil {
		return err
	}
	for _, manifest := range from.manifests(&l.options) {
		objects, err := readManifest(manifest)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if installRank(object) < 2 || object.GetKind() == "Deployment" || wanted[identity(object)] {
				continue
			}
			if err := installer.remove(ctx, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceProgram restarts a component with another program. A stopped one is not started.
func (l *Lab) replaceProgram(ctx context.Context, c *Component, path string) error {
	args, err := l.understoodArgs(c, path)
	if err != nil {
		return err
	}
	running := c.Running()
	if running {
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.path, c.args = path, args
	c.mu.Unlock()
	if !running {
		return nil
	}
	return c.Restart(ctx)
}

// understoodArgs returns a component's arguments that the program at a path knows.
func (l *Lab) understoodArgs(c *Component, path string) ([]string, error) {
	args := l.argsOf(c)
	if !isEverynode(c.kind) || l.options.Release.Programs == "" {
		return args, nil
	}
	return understood(path, args)
}
