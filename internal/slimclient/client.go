// Package slimclient is controller-runtime's client with cheap writes of pods. The API server answers a create and a delete
// with the whole pod, and decoding it costs a controller more than the rest of the request: controller-runtime decodes the
// answer of a delete, encodes it as JSON and decodes that. This client requests only the pod's metadata, and does not read it
// after a delete.
package slimclient

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// metadataAlone requests an object's metadata in place of the object, and an unchanged Status.
const metadataAlone = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/vnd.kubernetes.protobuf,application/json"

// Client is a client.Client.
type Client struct {
	client.Client
	core rest.Interface
}

var _ client.Client = (*Client)(nil)

// New returns a Client; it is a manager's NewClient.
func New(config *rest.Config, options client.Options) (client.Client, error) {
	full, err := client.New(config, options)
	if err != nil {
		return nil, err
	}
	http := options.HTTPClient
	if http == nil {
		if http, err = rest.HTTPClientFor(config); err != nil {
			return nil, fmt.Errorf("creating a client of pods: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.ContentType, config.APIPath, config.GroupVersion = runtime.ContentTypeProtobuf, "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = codecs.WithoutConversion()
	core, err := rest.RESTClientForConfigAndClient(config, http)
	if err != nil {
		return nil, fmt.Errorf("creating a client of pods: %w", err)
	}
	return &Client{full, core}, nil
}

// scheme has the kinds of the requests and of their answers.
var (
	scheme     = runtime.NewScheme()
	codecs     = serializer.NewCodecFactory(scheme)
	parameters = runtime.NewParameterCodec(scheme)
)

func init() {
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(metav1.AddMetaToScheme(scheme))
}

// Create creates an object. A pod gets the metadata of the stored one, and keeps its own spec and status, unless it is a dry
// run, which is for the whole object.
func (c *Client) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	var all client.CreateOptions
	all.ApplyOptions(options)
	pod, isPod := object.(*corev1.Pod)
	if !isPod || len(all.DryRun) > 0 {
		return c.Client.Create(ctx, object, options...)
	}
	var stored metav1.PartialObjectMetadata
	err := c.core.Post().Namespace(pod.Namespace).Resource("pods").VersionedParams(all.AsCreateOptions(), parameters).
		SetHeader("Accept", metadataAlone).Body(pod).Do(ctx).Into(&stored)
	if err != nil {
		return err
	}
	pod.ObjectMeta = stored.ObjectMeta
	return nil
}

// Delete deletes an object.
func (c *Client) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return c.Client.Delete(ctx, object, options...)
	}
	var all client.DeleteOptions
	all.ApplyOptions(options)
	return c.core.Delete().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).
		SetHeader("Accept", metadataAlone).Body(all.AsDeleteOptions()).Do(ctx).Error()
}
