# One compile cache serves the product, the tests and the lab's components: the same flags for all.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

NODES ?= 5
WORKLOADS ?= everynode
SCHEDULER ?= secondary
PLACEMENT ?= auto
LAB_DIR ?= .lab
CLUSTER ?= lab
CONTROLLER ?= everynode
FUZZTIME ?= 30s
SHAPE ?= beside
RUN ?= .
GOLANGCI := go tool -modfile=tools/lint/go.mod golangci-lint
BINARIES := everynode-controller everynode-webhook everynode-scheduler

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build Everynode's programs into bin/
	@go build -o bin/ $(addprefix ./cmd/,$(BINARIES))

.PHONY: components
components: ## Build the lab's Kubernetes components (cached by version under bin/)
	@bash hack/build-lab.sh >/dev/null

.PHONY: demo
demo: components build ## The main job, narrated, on an embedded control plane
	@go run ./test/demo

.PHONY: lab
lab: components build ## A control plane with Everynode in the foreground [NODES= WORKLOADS= SCHEDULER= PLACEMENT= LAB_DIR=]
	@go build -o bin/lab ./test/lab/cmd/lab
	@exec bin/lab --nodes=$(NODES) --workloads=$(WORKLOADS) --scheduler=$(SCHEDULER) --placement=$(PLACEMENT) --dir=$(LAB_DIR)

.PHONY: test
test: components build ## Every test: pure rules, and the way of a pod on a real API server
	go test ./...

.PHONY: e2e
e2e: components ## The end-to-end tests, on kind clusters that are made and deleted [RUN=TestBeside KIND_NODE_IMAGE=]
	@bash hack/e2e.sh -run '$(RUN)'

.PHONY: cluster
cluster: components ## A kind cluster with Everynode in the foreground [SHAPE=beside|takeover|builtin KIND_NODE_IMAGE=]
	@bash hack/kind.sh
	@go build -o bin/cluster ./test/kind/cmd/cluster
	@exec bin/cluster --shape=$(SHAPE)

.PHONY: fuzz
fuzz: ## Fuzz the webhook's two paths for FUZZTIME each [FUZZTIME=30s]
	go test -run '^$$' -fuzz FuzzPlacement -fuzztime $(FUZZTIME) ./webhook
	go test -run '^$$' -fuzz FuzzValidation -fuzztime $(FUZZTIME) ./webhook

.PHONY: faults
faults: components build ## What takes longer: 10,000 pods made in a race for 200 nodes, S1 checked on every event; 100,000 random pods placed three ways, 20,000 on an API server; the webhook's certificate replaced 100 times under load
	EVERYNODE_RACE_CREATIONS=10000 go test -count=1 -run TestCrowd -v ./test/scheduling
	EVERYNODE_ANSWERS=10000 go test -count=1 -run TestOneAnswer -v ./test/policy -rapid.checks=25000
	EVERYNODE_ROTATIONS=100 go test -count=1 -run 'TestSelfManagedRotation|TestCertManager' -v ./test/certs

.PHONY: conformance
conformance: components build ## Kubernetes' own DaemonSet cases against native DaemonSets [CLUSTER=lab|kind|<kubeconfig> CONTROLLER=everynode|builtin]
	@CONTROLLER=$(CONTROLLER) bash hack/conformance.sh $(CLUSTER)

.PHONY: bench
bench: components build ## Go benchmarks, upstream's DaemonSet controller's beside ours; they report and never fail on time
	go test -timeout 90m -run '^$$' -bench . -benchmem ./... k8s.io/kubernetes/pkg/controller/daemon

.PHONY: images
images: build ## Container images of the programs as archives under bin/image/ (docker load, kind load image-archive)
	@go build -C tools/images -o ../../bin/images .
	@mkdir -p bin/image
	@for program in $(BINARIES); do bin/images bin/$$program everynode/$$program:dev bin/image/$$program.tar && echo bin/image/$$program.tar || exit 1; done

.PHONY: lint
lint: ## golangci-lint: style, and the direction of imports (depguard)
	$(GOLANGCI) run ./...

.PHONY: generate
generate: ## Write the generated files anew: deep copies, the CRD and the manifests of deploy
	bash hack/generate.sh

.PHONY: verify
verify: ## Generated files are fresh, the chart lints, alerts and dashboard are valid, module files are tidy and agree on Kubernetes' version
	bash hack/verify.sh
	bash hack/verify-chart.sh
	bash hack/verify-modules.sh

.PHONY: update-k8s
update-k8s: ## Move every Kubernetes version together: make update-k8s VERSION=1.37.3
	bash hack/update-k8s.sh $(VERSION)
