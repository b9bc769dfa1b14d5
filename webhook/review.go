package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json" // case-sensitive keys, as in the API server
)

const (
	// bodyLimit is the largest review: two objects of 3 MiB, the API server's limit for a request
	// (k8s.io/apiserver pkg/server/config.go MaxRequestBodyBytes), and the review around them.
	bodyLimit = 7 << 20
	// keptBuffer is the largest buffer that is kept for the next request; a typical pod needs a tenth of it.
	keptBuffer = 128 << 10
)

// reviewType is the only version of a review that is read and written; the configurations request it.
var reviewType = metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}

// request is the part of an AdmissionRequest that the hooks read. Decoding skips the rest.
type request struct {
	UID         types.UID                   `json:"uid"`
	Operation   admissionv1.Operation       `json:"operation"`
	Resource    metav1.GroupVersionResource `json:"resource"`
	SubResource string                      `json:"subResource"`
	Namespace   string                      `json:"namespace"`
	Name        string                      `json:"name"`
	UserInfo    struct {
		Username string `json:"username"`
	} `json:"userInfo"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
}

// hook answers the requests of one path. The caller sets the answer's UID.
type hook interface {
	answer(context.Context, *request) (*admissionv1.AdmissionResponse, outcome)
}

// reviews serves AdmissionReviews and delegates their requests to a hook.
type reviews struct {
	path string
	hook hook
	log  logr.Logger
	room *room
	// workers run hooks that may take long; nil for a hook that is always fast.
	workers *workers
}

// ServeHTTP answers a request that has a UID with a review, even if it is refused. Without a UID the API server
// could not match the answer, so any other request gets an HTTP error with the reason. A request without free
// capacity in time gets an error too: its object is not at fault, so failurePolicy should decide.
func (r *reviews) ServeHTTP(w http.ResponseWriter, posted *http.Request) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(posted.Context(), limitOf(posted))
	defer cancel()
	asked, got, err := r.answer(ctx, w, posted)
	if err != nil {
		r.fail(w, posted, err, begun)
		return
	}
	got.response.UID = asked.UID
	if !got.response.Allowed {
		r.log.Info("refused", "path", r.path, "operation", asked.Operation, "namespace", asked.Namespace, "name", asked.Name,
			"user", asked.UserInfo.Username, "reason", got.response.Result.Message)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: reviewType, Response: got.response})
	if err != nil { // cannot happen: only strings and numbers
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client may have disconnected
	observe(r.path, got.outcome, begun)
}

// answer reads a request once there is capacity for it, and calls the hook.
func (r *reviews) answer(ctx context.Context, w http.ResponseWriter, posted *http.Request) (*request, answer, error) {
	if kind, _, err := mime.ParseMediaType(posted.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, answer{}, &httpError{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Type is %q: send application/json", posted.Header.Get("Content-Type"))}
	}
	release, err := r.room.enter(ctx, posted)
	if err != nil {
		return nil, answer{}, fmt.Errorf("reading the review: %w", err)
	}
	asked, err := readRequest(w, posted)
	if err != nil {
		release()
		return nil, answer{}, err
	}
	if r.workers == nil {
		defer release()
		response, outcome := r.hook.answer(ctx, asked)
		return asked, answer{response, outcome}, nil
	}
	got, err := r.workers.do(ctx, r.hook, asked, release)
	return asked, got, err
}

// fail answers a request that cannot be answered with a review.
func (r *reviews) fail(w http.ResponseWriter, posted *http.Request, err error, begun time.Time) {
	if errors.Is(err, errBusy) || errors.Is(err, context.Canceled) {
		observe(r.path, busy, begun)
	} else {
		observe(r.path, malformed, begun)
		r.log.Info("refused a request that is not an admission review", "path", r.path, "from", posted.RemoteAddr, "reason", err.Error())
	}
	http.Error(w, err.Error(), statusOf(err))
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readRequest reads a body. The result shares no memory with the buffer, which is reused.
func readRequest(w http.ResponseWriter, posted *http.Request) (*request, error) {
	buffer := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= keptBuffer {
			buffer.Reset()
			buffers.Put(buffer)
		}
	}()
	if length := int(posted.ContentLength); length > keptBuffer { // bounded by enter
		buffer.Grow(length + bytes.MinRead)
	}
	if _, err := buffer.ReadFrom(http.MaxBytesReader(w, posted.Body, bodyLimit)); err != nil {
		return nil, fmt.Errorf("reading the review: %w", err)
	}
	return decodeReview(buffer.Bytes())
}

func decodeReview(body []byte) (*request, error) {
	var review struct {
		metav1.TypeMeta
		Request *request `json:"request"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &review); err != nil {
		return nil, fmt.Errorf("decoding the review: %w", err)
	}
	switch {
	case review.TypeMeta != reviewType:
		return nil, fmt.Errorf("the body is %q of %q: send an AdmissionReview of admission.k8s.io/v1 (admissionReviewVersions: [v1] in the webhook's configuration)", review.Kind, review.APIVersion)
	case review.Request == nil:
		return nil, errors.New("the review has no request")
	case review.Request.UID == "":
		return nil, errors.New("the review's request has no uid")
	}
	return review.Request, nil
}

// httpError is an error with an HTTP status.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func statusOf(err error) int {
	var (
		own   *httpError
		large *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// allowed admits a request unchanged.
func allowed(warnings ...string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true, Warnings: warnings}
}

// refused denies a request. The API server puts the webhook's name before the message.
func refused(code int32, reason metav1.StatusReason, message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

// misdirected admits a request that a wrong configuration sent here, with a warning: only objects that opt in
// to admission may be affected by it (S7).
func misdirected(what string, asked *request) *admissionv1.AdmissionResponse {
	return allowed(fmt.Sprintf("everynode: the %s; remove %s of %s from its configuration", what, asked.Operation, asked.Resource.Resource))
}
