package bench

import (
	"flag"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// informerFlag turns the test binary into the program that startInformer starts.
const informerFlag = "informer"

var informerOf = flag.String(informerFlag, "", "run an informer of pods with this kubeconfig instead of tests")

func TestMain(m *testing.M) {
	flag.Parse()
	if *informerOf == "" {
		os.Exit(m.Run())
	}
	if err := informPods(*informerOf); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// informPods caches every pod until the process is stopped, in protobuf and
// without managed fields, as controllers usually do.
func informPods(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	pods := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(stripped)).Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, _ any) {}}); err != nil {
		return err
	}
	pods.Run(make(chan struct{}))
	return nil
}

func stripped(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return object, nil
}
