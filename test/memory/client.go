package memory

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/everynode/everynode/test/faults/history"
)

// Client is a user's client. It implements those methods of client.Client that the engine calls; the others panic.
type Client struct {
	client.Client
	api    *API
	user   string
	around Around
}

// Around executes a request by calling serve, which records it, and returns what the client gets as the answer.
type Around func(request *history.Request, serve func() error) error

// As returns a client of a user.
func (a *API) As(user string, around Around) *Client {
	return &Client{api: a, user: user, around: around}
}

// request describes a request for an object.
func (c *Client) request(verb string, object client.Object) *history.Request {
	return &history.Request{User: c.user, Verb: verb, Resource: string(ResourceOf(object)), Namespace: object.GetNamespace(), Name: object.GetName()}
}

func (c *Client) do(request *history.Request, serve func() error) error {
	return c.around(request, func() error { return c.api.serve(request, serve) })
}

// serve records a request, executes it, and records the answer.
func (a *API) serve(request *history.Request, do func() error) error {
	a.Record(history.Record{At: a.now(), Request: request})
	err := do()
	request.Code, request.Reason = answerOf(request.Verb, err)
	return err
}

func answerOf(verb string, err error) (code int32, reason string) {
	switch status, ok := err.(apierrors.APIStatus); {
	case err == nil && verb == "create":
		return http.StatusCreated, ""
	case err == nil:
		return http.StatusOK, ""
	case ok:
		return status.Status().Code, string(status.Status().Reason)
	}
	return http.StatusInternalServerError, err.Error()
}

// Get implements client.Reader.
func (c *Client) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	request := c.request("get", object)
	request.Namespace, request.Name = key.Namespace, key.Name
	return c.do(request, func() error {
		stored, err := c.api.stored(history.Resource(request.Resource), key)
		if err != nil {
			return err
		}
		return into(stored, object)
	})
}

func (a *API) stored(resource history.Resource, key types.NamespacedName) (client.Object, error) {
	stored, there := a.objects[resource][key]
	if !there {
		return nil, apierrors.NewNotFound(groupResource(resource), key.Name)
	}
	return stored, nil
}

// Create implements client.Writer.
func (c *Client) Create(_ context.Context, object client.Object, options ...client.CreateOption) error {
	request := c.request("create", object)
	request.Object = clone(object)
	request.DryRun = len((&client.CreateOptions{}).ApplyOptions(options).DryRun) > 0
	return c.do(request, func() error {
		made, err := c.api.create(request.Object, request.DryRun)
		if err != nil {
			return err
		}
		return into(made, object)
	})
}

// Delete implements client.Writer.
func (c *Client) Delete(_ context.Context, object client.Object, options ...client.DeleteOption) error {
	request, preconditions := c.request("delete", object), (&client.DeleteOptions{}).ApplyOptions(options).Preconditions
	if preconditions != nil {
		request.UID, request.ResourceVersion = value(preconditions.UID), value(preconditions.ResourceVersion)
	}
	key := client.ObjectKeyFromObject(object)
	return c.do(request, func() error {
		return c.api.delete(history.Resource(request.Resource), key, request.UID, request.ResourceVersion, Background)
	})
}

// Patch implements client.Writer.
func (c *Client) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return c.patch("", object, patch)
}

// Status implements client.StatusClient.
func (c *Client) Status() client.SubResourceWriter { return status{c: c} }

// value is what a pointer points to, or zero.
func value[T any](of *T) (v T) {
	if of != nil {
		v = *of
	}
	return v
}

// into copies an object into another one, whose type may have fewer fields.
func into(from, to client.Object) error {
	if reflect.TypeOf(from) == reflect.TypeOf(to) {
		reflect.ValueOf(to).Elem().Set(reflect.ValueOf(clone(from)).Elem())
		return nil
	}
	kind := to.GetObjectKind().GroupVersionKind()
	data, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	to.GetObjectKind().SetGroupVersionKind(kind)
	return err
}
