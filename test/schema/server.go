// Package schema compares the schema of DaemonSets with the decoders of the objects that it accepts, and with
// apps/v1. It runs the API server's own code on the chart's CRD, in process.
package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/everynode/everynode/api/v1alpha1"
)

// crdFile is the CRD that the chart installs.
var crdFile = filepath.Join("..", "..", "deploy", "chart", "everynode", "crds", "everynode.dev_daemonsets.yaml")

// server processes an object as an API server with the CRD does, without webhooks.
type server struct {
	props    *apiextensions.JSONSchemaProps
	schema   *structural.Structural
	strategy interface {
		rest.RESTCreateStrategy
		rest.RESTUpdateStrategy
	}
}

func newServer() (*server, error) {
	raw, err := os.ReadFile(crdFile)
	if err != nil {
		return nil, err
	}
	var external apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &external); err != nil {
		return nil, err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&external)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	external.Status.StoredVersions = []string{v1alpha1.GroupVersion.Version}
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, &crd, nil); err != nil {
		return nil, err
	}
	// This also estimates the cost of the CEL rules.
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), &crd); len(errs) > 0 {
		return nil, fmt.Errorf("the API server refuses the CRD: %w", errs.ToAggregate())
	}
	s := &server{props: schemaOf(&crd)}
	if s.schema, err = structural.NewStructural(s.props); err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(s.props)
	if err != nil {
		return nil, err
	}
	s.strategy = customresource.NewStrategy(nil, true, v1alpha1.DaemonSetKind, validator, nil, s.schema,
		&apiextensions.CustomResourceSubresourceStatus{}, nil, nil)
	return s, nil
}

func schemaOf(crd *apiextensions.CustomResourceDefinition) *apiextensions.JSONSchemaProps {
	if crd.Spec.Validation != nil { // one version: conversion moves its schema here
		return crd.Spec.Validation.OpenAPIV3Schema
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// read processes a body as the API server does before validation: decoded, pruned, defaulted
// (k8s.io/apiextensions-apiserver pkg/apiserver customresource_handler.go).
func (s *server) read(body []byte) (*unstructured.Unstructured, error) {
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &content); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{Object: content}
	if object.GroupVersionKind() != v1alpha1.DaemonSetKind {
		return nil, fmt.Errorf("it is a %s", object.GroupVersionKind())
	}
	// The API server decodes metadata separately, and stores the decoded form.
	var partial metav1.PartialObjectMetadata
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"metadata": content["metadata"]}, &partial); err != nil {
		return nil, err
	}
	content["metadata"] = map[string]any{"name": partial.Name, "namespace": "default"}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, s.schema)
	defaulting.Default(content, s.schema)
	pruning.Prune(content, s.schema, true)
	return object, nil
}

// create stores an object, and with it a status that takes a separate request; it returns the bytes in etcd or the error.
func (s *server) create(body []byte) ([]byte, error) {
	object, err := s.read(body)
	if err != nil {
		return nil, err
	}
	if errs := s.strategy.Validate(inNamespace(), object); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return json.Marshal(object.Object)
}

// update replaces a stored object, which may be of any schema.
func (s *server) update(body, stored []byte) error {
	object, err := s.read(body)
	if err != nil {
		return err
	}
	old := &unstructured.Unstructured{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(stored, &old.Object); err != nil {
		return err
	}
	object.SetResourceVersion("1")
	old.SetResourceVersion("1")
	old.SetNamespace(object.GetNamespace())
	return s.strategy.ValidateUpdate(inNamespace(), object, old).ToAggregate()
}

func inNamespace() context.Context {
	return genericapirequest.WithNamespace(context.Background(), "default")
}
