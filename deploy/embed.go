// Package deploy embeds the manifests that install Everynode, so that whoever installs it from
// Go (the lab) applies these very files.
package deploy

import "embed"

// Manifests holds the folders crd and manifests as they lie here: the default install.
//
//go:embed crd/*.yaml manifests/*.yaml
var Manifests embed.FS

// Primary holds the folder primary, which is applied over Manifests where everynode-scheduler takes
// the place of kube-scheduler.
//
//go:embed primary/*.yaml
var Primary embed.FS

// Policy holds the folder policy, which is applied where policies of the API server place pods
// instead of everynode-webhook: of Manifests the webhook's configuration is then left out.
//
//go:embed policy/*.yaml
var Policy embed.FS
