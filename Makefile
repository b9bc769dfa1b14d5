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
MUTANT_SEEDS ?= 2000
SEEDS ?= 10000
SEED ?=
KIND ?= random
FROM ?= 0
MINUTES ?= 10
COMPAT ?= v1.36.3 v1.35.4
FORMER ?= 9652073
RACE ?= ./...
# Packages that start goroutines and whose tests start no lab; the rest of internal/ is pure.
UNIT ?= ./controller/... ./certs
# The vulnerability database of make vulncheck: a version of golang.org/x/vulndb. It is pinned, so that the answer depends on the commit and not on the
# day; see CONTRIBUTING.md.
VULNDB ?= v0.0.0-20261105234957-e22db6528018
KUBERNETES ?=
IMAGE_TAG ?= dev
SHAPE ?= beside
RUN ?= .
RUNS ?= 50
SLOW_RUNS ?= 5
JOBS ?= 2
GOLANGCI := tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
# Modules with code of ours; golangci-lint checks one at a time. tools/conformance would take the whole of Kubernetes' suite for one file.
LINTED := . tools/images tools/ko tools/licenses tools/monitoring tools/vuln
# Those whose tests take seconds; make test-release runs those of tools/ko.
TOOLS_TESTED := tools/images tools/licenses tools/vuln
BINARIES := everynode-controller everynode-webhook everynode-scheduler
# The Go that releases are built with, whatever the machine has: the newest patch, because the programs contain its standard library. go fetches it.
RELEASE_GO ?= go1.26.11
RELEASE ?= $(shell git describe --tags --always --dirty 2>/dev/null)
KUBERNETES_VERSION = $(shell awk '$$1 == "k8s.io/kubernetes" && $$2 ~ /^v/ { print $$2; exit }' go.mod)
# component-base's version is the one in kube-scheduler's own flag --version, log and metrics.
LDFLAGS = -s -w -X github.com/everynode/everynode/internal/version.version=$(RELEASE) -X k8s.io/component-base/version.gitVersion=$(KUBERNETES_VERSION)

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build Everynode's programs into bin/
	@go build -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(BINARIES))

.PHONY: components
components: ## Build the lab's Kubernetes components (cached by version in bin/)
	@bash hack/build-lab.sh >/dev/null

.PHONY: demo
demo: components build ## Run the demo of the main job on an embedded control plane
	@go run ./test/demo

.PHONY: lab
lab: components build ## Run a control plane with Everynode in the foreground [NODES= WORKLOADS= SCHEDULER= PLACEMENT= KUBERNETES= LAB_DIR=]
	@if [ -n "$(KUBERNETES)" ]; then bash hack/build-kubernetes.sh $(KUBERNETES) >/dev/null; fi
	@go build -o bin/lab ./test/lab/cmd/lab
	@exec bin/lab --nodes=$(NODES) --workloads=$(WORKLOADS) --scheduler=$(SCHEDULER) --placement=$(PLACEMENT) --kubernetes=$(KUBERNETES) --dir=$(LAB_DIR)

.PHONY: test
test: components build ## Run all tests: pure rules, and the life of a pod on a real API server
	go test -timeout 20m ./...
	set -e; for module in $(TOOLS_TESTED); do go -C $$module test -timeout 20m ./...; done

.PHONY: race
race: components ## Run all tests with the race detector, in Everynode's programs on labs too; needs a C compiler [RACE=./...]
	@LDFLAGS='$(LDFLAGS)' bash hack/race.sh $(RACE)

.PHONY: race-unit
race-unit: ## Run the tests that start no lab with the race detector [UNIT="./controller/... ./certs"]
	@bash hack/race.sh --unit $(UNIT)

# Checked before anything is built.
.PHONY: engine
engine:
	@bash hack/engine.sh

.PHONY: e2e
e2e: engine components ## Run the end-to-end tests on kind clusters, which are created and deleted [RUN=TestBeside KIND_NODE_IMAGE=]
	@bash hack/e2e.sh -run '$(RUN)'

.PHONY: cluster
cluster: engine components ## Run a kind cluster with Everynode in the foreground [SHAPE=beside|takeover|builtin KIND_NODE_IMAGE=]
	@bash hack/kind.sh
	@go build -o bin/cluster ./test/kind/cmd/cluster
	@exec bin/cluster --shape=$(SHAPE)

.PHONY: test-compat
test-compat: components build ## Run the core suite on older Kubernetes releases, which are built first [COMPAT="v1.36.3 v1.35.4"]
	@bash hack/test-compat.sh $(COMPAT)

.PHONY: test-upgrade
test-upgrade: components build ## Upgrade from a former commit to this one and back, and check that no pod is restarted [FORMER=9652073]
	EVERYNODE_FORMER=$$(bash hack/build-former.sh $(FORMER)) go test -count=1 -timeout 15m -v ./test/upgrade

.PHONY: fuzz
fuzz: ## Run every fuzz target of the tree (hack/fuzz.sh --list) for FUZZTIME each [FUZZTIME=30s]
	@bash hack/fuzz.sh $(FUZZTIME)

.PHONY: simulate
simulate: ## Run the engine in random simulated clusters, on all processors; or one of them, and print its history [SEEDS=10000 FROM=0 SEED= KIND=random|edited|held]
ifneq ($(SEED),)
	EVERYNODE_KIND=$(KIND) EVERYNODE_SEED=$(SEED) go test -count=1 -timeout 10m -v -run '^TestSeed$$' ./test/simulation
else
	EVERYNODE_SEEDS=$(SEEDS) EVERYNODE_FROM=$(FROM) go test -count=1 -timeout 0 -v -run '^(TestRandomHistories|TestRandomEdits|TestHeldRollouts|TestCrashPoints)$$' ./test/simulation
endif

.PHONY: mutants
mutants: ## Check the checker of histories: each bug of test/faults/mutants is reported by the invariant that it breaks [MUTANT_SEEDS=2000]
	EVERYNODE_MUTANT_SEEDS=$(MUTANT_SEEDS) go test -count=1 -timeout 60m -v -run TestMutants ./test/faults/mutants

.PHONY: faults
faults: components build ## Run the long tests: 10,000 pods created in a race for 200 nodes, with S1 checked on every event; 100,000 random pods placed in three ways, 20,000 on an API server; the webhook's certificate replaced 100 times under load; every fault of test/faults once; two minutes of churn
	EVERYNODE_RACE_CREATIONS=10000 go test -count=1 -run TestCrowd -v ./test/scheduling
	EVERYNODE_ANSWERS=10000 go test -count=1 -run TestOneAnswer -v ./test/policy -rapid.checks=25000
	EVERYNODE_ROTATIONS=100 go test -count=1 -run 'TestSelfManagedRotation|TestCertManager' -v ./test/certs
	EVERYNODE_FAULT_RUNS=1 EVERYNODE_FAULT_SLOW_RUNS=1 go test -count=1 -timeout 90m -v ./test/faults
	EVERYNODE_SOAK_MINUTES=2 go test -count=1 -timeout 20m -run TestSoak -v ./test/soak

.PHONY: faults-runs
faults-runs: components build ## Run each fault of test/faults RUNS times, the slow ones SLOW_RUNS times, and continue after an interruption; JOBS= processes with labs of their own share the runs [RUNS=50 SLOW_RUNS=5 JOBS=2 RUN=TestF]
	@RUNS='$(RUNS)' SLOW_RUNS='$(SLOW_RUNS)' JOBS='$(JOBS)' RUN='$(if $(filter .,$(RUN)),^TestF,$(RUN))' bash hack/faults.sh

.PHONY: soak
soak: components build ## Run churn on a lab for a time, and check that memory, goroutines and writes do not grow [MINUTES=10]
	EVERYNODE_SOAK_MINUTES=$(MINUTES) go test -count=1 -timeout 0 -run TestSoak -v ./test/soak

.PHONY: conformance
conformance: components build ## Run Kubernetes' own DaemonSet cases against native DaemonSets [CLUSTER=lab|kind|<kubeconfig> CONTROLLER=everynode|builtin KIND_NODE_IMAGE=]
	@CONTROLLER=$(CONTROLLER) bash hack/conformance.sh $(CLUSTER)

.PHONY: bench
bench: components build ## Run the benchmarks, including those of upstream's DaemonSet controller; they never fail on time
	go test -timeout 150m -run '^$$' -bench . -benchmem ./... k8s.io/kubernetes/pkg/controller/daemon

.PHONY: images
images: build ## Build container images of the programs from scratch: archives in bin/image/, loaded into the Docker engine when one answers [IMAGE_TAG=dev]
	@bash hack/images.sh "$(IMAGE_TAG)" "$(RELEASE)" $(BINARIES)

.PHONY: release
release: ## Push images for all platforms, with SBOMs, to KO_DOCKER_REPO [RELEASE=v1.2.3]
	@RELEASE_GO=$(RELEASE_GO) bash hack/release.sh "$(RELEASE)" '$(LDFLAGS)' $(BINARIES)

.PHONY: test-release
test-release: ## Make a release to a registry on loopback, and verify platforms, users, static programs and SBOMs
	go -C tools/ko test -count=1 -timeout 60m -v ./...

.PHONY: lint
lint: ## Run golangci-lint: its own configuration, style, and the direction of imports (depguard)
	go $(GOLANGCI) config verify
	set -e; for module in $(LINTED); do go -C $$module $(GOLANGCI) run ./...; done

.PHONY: vulncheck
vulncheck: ## Check that the programs call no code with a known vulnerability [VULNDB=v0.0.0-…, latest: a version of golang.org/x/vulndb]
	@RELEASE_GO=$(RELEASE_GO) bash hack/vulncheck.sh $(VULNDB) $(addprefix ./cmd/,$(BINARIES))

.PHONY: test-reproducible
test-reproducible: ## Build programs and images twice, the second time with an empty build cache (ten minutes), and compare them byte by byte
	EVERYNODE_REBUILD=1 go -C tools/images test -count=1 -timeout 60m -run TestReproducible -v ./...

.PHONY: generate
generate: ## Write the generated files: deep copies, the CRD, the manifests of deploy, docs/reference
	bash hack/generate.sh

.PHONY: verify
verify: ## Check that generated files are up to date, the chart lints, alerts and dashboard are valid, and module files are tidy and use one Kubernetes version
	bash hack/verify.sh
	bash hack/verify-chart.sh
	bash hack/verify-modules.sh

.PHONY: update-k8s
update-k8s: ## Update all Kubernetes versions together: make update-k8s VERSION=1.37.3
	bash hack/update-k8s.sh $(VERSION)
