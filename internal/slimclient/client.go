// Package slimclient is controller-runtime's client with cheap deletes of pods. The API server answers a delete with the
// whole pod, and controller-runtime decodes it, encodes it as JSON and decodes that: more than all else that a delete costs
// a controller. This client asks for the pod's metadata and does not read it.
package slimclient

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// metadataAlone asks for an object's metadata in place of the object, and for a Status as it is.
const metadataAlone = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/vnd.kubernetes.protobuf,application/json"

// Client is a client.Client.
type Client struct {
	client.Client
	core rest.Interface
}

var _ client.Client = (*Client)(nil)

// New makes a Client; it is a manager's NewClient.
func New(config *rest.Config, options client.Options) (client.Client, error) {
	full, err := client.New(config, options)
	if err != nil {
		return nil, err
	}
	http := options.HTTPClient
	if http == nil {
		if http, err = rest.HTTPClientFor(config); err != nil {
			return nil, fmt.Errorf("making a client of pods: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	core, err := corev1client.NewForConfigAndClient(config, http)
	if err != nil {
		return nil, fmt.Errorf("making a client of pods: %w", err)
	}
	return &Client{full, core.RESTClient()}, nil
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
