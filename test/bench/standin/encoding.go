package standin

import (
	"bytes"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

// encoding is the format of a watch's events.
type encoding struct {
	contentType string
	object      runtime.Encoder // of the event's object
	event       runtime.Encoder // of the event itself
	framer      runtime.Framer
}

// encodingOf returns the encoding that an API server chooses: protobuf for clients that accept it, except for
// custom resources.
func encodingOf(accept string, custom bool) (*encoding, error) {
	mediaType, contentType := runtime.ContentTypeJSON, runtime.ContentTypeJSON
	if strings.Contains(accept, runtime.ContentTypeProtobuf) && !custom {
		mediaType, contentType = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+";stream=watch"
	}
	codecs := serializer.NewCodecFactory(clientgoscheme.Scheme)
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), mediaType)
	if !ok || info.StreamSerializer == nil {
		return nil, fmt.Errorf("no stream of %s", mediaType)
	}
	return &encoding{contentType, info.Serializer, info.StreamSerializer.Serializer, info.StreamSerializer.Framer}, nil
}

// frame encodes an event for the wire.
func (e *encoding) frame(kind watch.EventType, object runtime.Object) ([]byte, error) {
	raw, err := runtime.Encode(e.object, object)
	if err != nil {
		return nil, err
	}
	var frame bytes.Buffer
	event := &metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}}
	if err := e.event.Encode(event, e.framer.NewFrameWriter(&frame)); err != nil {
		return nil, err
	}
	return frame.Bytes(), nil
}
