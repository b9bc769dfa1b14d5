package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/api/v1alpha1"
	"github.com/everynode/everynode/internal/daemon"
	"github.com/everynode/everynode/test/lab"
	"github.com/everynode/everynode/test/labtest"
)

const historyNodes = 2

// Images of the daemons' templates, in this order; each gives another revision.
const (
	firstImage  = "example.com/first"
	secondImage = "example.com/second"
	thirdImage  = "example.com/third"
)

func TestHistory(t *testing.T) {
	cluster := labtest.Start(t, lab.Options{Nodes: historyNodes})
	for name, test := range map[string]func(*labtest.Cluster){
		"numbers increase, and a restored template gets the highest": historyNumbers,
		"the oldest are deleted beyond the limit":                    historyLimit,
		"a pod's revision is kept":                                   historyKeepsWhatPodsHave,
		"a record that was deleted is recreated":                     historyMadeAnew,
		"orphans are adopted":                                        historyAdopted,
		"a taken name does not stop pods":                            historyNameTaken,
		"deletion removes the history":                               historyDeleted,
	} {
		t.Run(name, func(t *testing.T) { test(cluster.With(t)) })
	}
	cluster.NothingForbidden()
}

// historical creates a daemon with the first image.
func historical(name string, mutators ...func(*v1alpha1.DaemonSet)) *v1alpha1.DaemonSet {
	first := func(set *v1alpha1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = firstImage }
	return labtest.DaemonSet(name, append(mutators, first)...)
}

func historyLimitOf(limit int32) func(*v1alpha1.DaemonSet) {
	return func(set *v1alpha1.DaemonSet) { set.Spec.RevisionHistoryLimit = &limit }
}

// onNoNode makes no node eligible, for tests without pods.
func onNoNode(set *v1alpha1.DaemonSet) {
	set.Spec.Template.Spec.NodeSelector = map[string]string{"no": "node"}
}

// revisionsOf returns the ControllerRevisions whose names begin with the daemon's, by number.
func revisionsOf(ctx context.Context, c *labtest.Cluster, set *v1alpha1.DaemonSet) ([]appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	if err := c.List(ctx, &list, client.InNamespace(set.Namespace)); err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(list.Items, func(object appsv1.ControllerRevision) bool { return !strings.HasPrefix(object.Name, set.Name+"-") })
	slices.SortFunc(found, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	return found, nil
}

// waitForHistory waits until a daemon has the given history, "<number> <image>" from the oldest
// on, and returns it.
func waitForHistory(c *labtest.Cluster, set *v1alpha1.DaemonSet, want ...string) []appsv1.ControllerRevision {
	c.T.Helper()
	var found []appsv1.ControllerRevision
	c.Eventually(fmt.Sprintf("the history of %s is %q", set.Name, want), func(ctx context.Context) (string, error) {
		var err error
		found, err = revisionsOf(ctx, c, set)
		if err != nil {
			return "", err
		}
		have := []string{}
		for i := range found {
			_, image, _ := strings.Cut(string(found[i].Data.Raw), `"image":"`)
			image, _, _ = strings.Cut(image, `"`)
			have = append(have, fmt.Sprintf("%d %s", found[i].Revision, image))
			if !metav1.IsControlledBy(&found[i], set) {
				have = append(have, "(not controlled)")
			}
		}
		if !slices.Equal(have, want) {
			return fmt.Sprintf("it is %q", have), nil
		}
		return "", nil
	})
	return found
}

func historyNumbers(c *labtest.Cluster) {
	set := historical("numbers")
	c.Make(set)
	recorded := waitForHistory(c, set, "1 "+firstImage)[0]
	setImage(c, set, secondImage)
	waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
	setImage(c, set, thirdImage)
	for _, object := range waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage, "3 "+thirdImage) {
		content := daemon.ContentsOf(object.Data.Raw).For(daemon.Everynode)
		if content != object.Labels[appsv1.ControllerRevisionHashLabelKey] || object.Name != "numbers-"+content || object.Labels["app"] != "numbers" {
			c.T.Errorf("%s has labels %v and the template %s", object.Name, object.Labels, content)
		}
		if owner := metav1.GetControllerOf(&object); owner.BlockOwnerDeletion == nil || !*owner.BlockOwnerDeletion {
			c.T.Errorf("%s does not block a deletion in the foreground", object.Name)
		}
	}
	setImage(c, set, firstImage)
	again := waitForHistory(c, set, "2 "+secondImage, "3 "+thirdImage, "4 "+firstImage)[2]
	if again.UID != recorded.UID {
		c.T.Errorf("number 4 is ControllerRevision %s, want number 1's %s", again.Name, recorded.Name)
	}
	// The output of kubectl.
	out, _, err := c.Kubectl(c.T.Context(), "", "get", "controllerrevisions", "--namespace="+set.Namespace, "--selector=app=numbers", "--sort-by=.revision")
	c.Must(err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if fields := strings.Fields(lines[len(lines)-1]); len(lines) != 4 || fields[0] != again.Name || fields[1] != "daemonset.everynode.dev/numbers" || fields[2] != "4" {
		c.T.Errorf("kubectl get controllerrevisions prints\n%s", out)
	}
}

func historyLimit(c *labtest.Cluster) {
	set := historical("limited", historyLimitOf(1), onNoNode)
	c.Make(set)
	waitForHistory(c, set, "1 "+firstImage)
	setImage(c, set, secondImage)
	waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
	setImage(c, set, thirdImage)
	waitForHistory(c, set, "2 "+secondImage, "3 "+thirdImage)

	c.Must(c.Get(c.T.Context(), client.ObjectKeyFromObject(set), set))
	changed := set.DeepCopy()
	historyLimitOf(0)(changed)
	c.Must(c.Patch(c.T.Context(), changed, client.MergeFrom(set)))
	waitForHistory(c, set, "3 "+thirdImage)
}

func historyKeepsWhatPodsHave(c *labtest.Cluster) {
	set := historical("live", historyLimitOf(0), func(set *v1alpha1.DaemonSet) {
		set.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	})
	c.Make(set)
	pods := c.WaitForPods(set, labtest.NodeNames(historyNodes)...)
	setImage(c, set, secondImage)
	waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
	setImage(c, set, thirdImage)
	waitForHistory(c, set, "1 "+firstImage, "3 "+thirdImage) // no pod ever had the second
	left := len(pods)
	for _, pod := range pods {
		c.Must(c.Delete(c.T.Context(), &corev1.Pod{ObjectMeta: pod.ObjectMeta}))
		if left--; left == 0 {
			break
		}
		c.WaitForStatus(set, func(status *v1alpha1.DaemonSetStatus) bool {
			return int(status.UpdatedNumberScheduled) == historyNodes-left && status.NumberAvailable == historyNodes
		})
		waitForHistory(c, set, "1 "+firstImage, "3 "+thirdImage)
	}
	waitForHistory(c, set, "3 "+thirdImage)
}

func historyMadeAnew(c *labtest.Cluster) {
	set := historical("again", onNoNode)
	c.Make(set)
	waitForHistory(c, set, "1 "+firstImage)
	setImage(c, set, secondImage)
	current := waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)[1]
	c.Must(c.Delete(c.T.Context(), &current))
	c.Eventually("the current template is recorded again", func(ctx context.Context) (string, error) {
		found, err := revisionsOf(ctx, c, set)
		if err != nil || len(found) != 2 || found[1].UID == current.UID {
			return "not yet", err
		}
		return "", nil
	})
	waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
}

func historyAdopted(c *labtest.Cluster) {
	set := historical("adopting", onNoNode)
	c.Make(set)
	waitForHistory(c, set, "1 "+firstImage)
	setImage(c, set, secondImage)
	before := waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
	c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	c.Eventually("the daemon is deleted and its ControllerRevisions are orphans", func(ctx context.Context) (string, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(set), set.DeepCopy()); !apierrors.IsNotFound(err) {
			return "it still exists", err
		}
		found, err := revisionsOf(ctx, c, set)
		if err != nil || len(found) != 2 || len(found[0].OwnerReferences)+len(found[1].OwnerReferences) > 0 {
			return "not yet", err
		}
		return "", nil
	})
	again := historical("adopting", onNoNode)
	c.Make(again)
	after := waitForHistory(c, again, "2 "+secondImage, "3 "+firstImage)
	if after[0].UID != before[1].UID || after[1].UID != before[0].UID {
		c.T.Errorf("the history was recreated, want the orphans adopted")
	}
}

func historyNameTaken(c *labtest.Cluster) {
	set := historical("nametaken")
	revision, err := daemon.Revision(&set.Spec.Template)
	c.Must(err)
	foreign := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: daemon.RevisionName(set.Name, revision)},
		Data:       runtime.RawExtension{Raw: []byte(`{"not":"ours"}`)},
	}
	c.Make(foreign)
	c.Make(set)
	c.WaitForEvent(set, "RevisionNameTaken", foreign.Name)
	c.WaitForPods(set, labtest.NodeNames(historyNodes)...)
	c.Must(c.Delete(c.T.Context(), foreign))
	waitForHistory(c, set, "1 "+firstImage)
}

func historyDeleted(c *labtest.Cluster) {
	for _, how := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		set := historical("deleted-"+strings.ToLower(string(how)), onNoNode)
		c.Make(set)
		waitForHistory(c, set, "1 "+firstImage)
		setImage(c, set, secondImage)
		waitForHistory(c, set, "1 "+firstImage, "2 "+secondImage)
		c.Must(c.Delete(c.T.Context(), set, client.PropagationPolicy(how)))
		waitForHistory(c, set)
		c.Eventually("the daemon is gone", func(ctx context.Context) (string, error) {
			if err := c.Get(ctx, client.ObjectKeyFromObject(set), set); !apierrors.IsNotFound(err) {
				return "it still exists", err
			}
			return "", nil
		})
	}
}
