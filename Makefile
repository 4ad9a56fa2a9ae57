# strake: source code to a running app on Kubernetes. “make help” lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
export CGO_ENABLED := 0
# For everything that is compiled, so that binaries and tests share Go's build cache.
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS) -trimpath)

# The sandbox that the targets bring up and use; tests have one of their own.
SANDBOX ?= default
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The embedded tools refuse to compare versions with “develop”, so they are told which one they are.
carvel = $(shell $(GO) list -m -f '{{.Version}}' carvel.dev/$(1) | sed 's/^v//')
LDFLAGS = -s -w -X main.version=$(VERSION) \
	-X carvel.dev/ytt/pkg/version.Version=$(call carvel,ytt) \
	-X carvel.dev/kapp/pkg/kapp/version.Version=$(call carvel,kapp) \
	-X carvel.dev/kbld/pkg/kbld/version.Version=$(call carvel,kbld) \
	-X carvel.dev/vendir/pkg/vendir/version.Version=$(call carvel,vendir) \
	-X carvel.dev/imgpkg/pkg/imgpkg/cmd.Version=$(call carvel,imgpkg)

# Debian packages: what the sandbox's containers, pod network and base images are made of, git with its helpers, and Mercurial.
PACKAGES := git git-lfs openssh-client mercurial runc containernetworking-plugins busybox-static iptables iproute2 ca-certificates

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/strake.
	@$(GO) build -ldflags '$(LDFLAGS)' -o bin/strake ./cmd/strake

.PHONY: packages
packages: ## Install the Debian packages that the sandbox needs, as root.
	@missing=(); for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing+=($$p); done; \
	if (( $${#missing[@]} )); then \
		if (( EUID )) || ! command -v apt-get >/dev/null; then \
			echo "missing packages: $${missing[*]}; as root: apt-get install $${missing[*]}" >&2; exit 1; \
		fi; \
		echo "installing $${missing[*]}"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } >/dev/null; \
	fi

.PHONY: sandbox
sandbox: packages ## Build the sandbox and bring it up: a registry, BuildKit and Kubernetes of its own.
	@cd examples/sandbox && $(GO) build -o ../../bin/sandbox .
	@bin/sandbox up --name $(SANDBOX)

.PHONY: platform
platform: build sandbox ## Bring the sandbox up and install the platform in it: registry and BuildKit as pods, rights.
	@bin/sandbox seed --name $(SANDBOX) buildkit registry
	@eval "$$(bin/sandbox env --name $(SANDBOX))"; \
	address=$${STRAKE_SANDBOX_HOSTPORT_REGISTRY:?the platform needs a node on which pods run}; \
	bin/strake run -f examples/platform/app.yaml \
		--set registry.address=$$address --set "buildkit.mirrors=[$$STRAKE_SANDBOX_POD_REGISTRY]"

# A cluster, a BuildKit and a registry that are given are used instead of the sandbox's.
given = $(and $(KUBECONFIG),$(BUILDKIT_HOST),$(STRAKE_REGISTRY))

# What “make app” deploys; with the platform, it is built there and deployed with a service account.
APP ?= $(if $(given),app.yaml.example,examples/platform/simple-app.yaml)

.PHONY: reqs
reqs: build $(if $(given),,platform) ## Everything that “make app” needs, without the app.

.PHONY: app
app: reqs ## Build and deploy the example app, and print what it answers.
	@$(if $(given),,eval "$$(bin/sandbox env --name $(SANDBOX))"; export STRAKE_REGISTRY=$$STRAKE_SANDBOX_HOSTPORT_REGISTRY;) \
	bin/strake run -f $(APP) --set image_repo=$$STRAKE_REGISTRY/simple-app; \
	bin/strake inspect -f $(APP); \
	echo; echo "The app answers:"; $(GO) run ./examples/answer

.PHONY: test
test: build ## Run all tests; the end-to-end ones in a sandbox of their own.
	@$(MAKE) --no-print-directory packages PACKAGES="nodejs chromium"
	@cd examples/sandbox && $(GO) build -o ../../bin/sandbox .
	@bin/sandbox down --name test --purge
	@$(MAKE) --no-print-directory sandbox SANDBOX=test
	@trap 'bin/sandbox down --name test --purge' EXIT; \
	bin/sandbox seed --name test buildkit registry node; \
	eval "$$(bin/sandbox env --name test)"; \
	$(MAKE) --no-print-directory -k -j 2 test-strake test-examples; \
	$(MAKE) --no-print-directory leftovers

# What tests leave in the cluster is work for it, and slows down all that comes later.
.PHONY: leftovers
leftovers:
	@for i in $$(seq 60); do \
		left=$$($$STRAKE_SANDBOX_BIN/kubectl get namespaces -o name | grep -vE '/(default|kube-.*)$$' || true); \
		if [ -z "$$left" ]; then exit 0; fi; sleep 1; \
	done; \
	echo "tests have left namespaces: $$left" >&2; $$STRAKE_SANDBOX_BIN/kubectl get pods -A >&2; exit 1

# Two packages at a time, whatever the number of processors: more pods than that at once start too slowly on one node
# for tests that wait for them. The programs are linked without what only debuggers read, which takes half the time.
go-test = MAKEFLAGS= $(GO) test -count=1 -ldflags '-s -w'

.PHONY: test-strake test-examples
test-strake:
	@$(go-test) -p 2 -timeout 30m ./...
test-examples:
	@cd examples/simple-app/src && $(go-test) ./...
	@cd examples/sandbox && $(go-test) -timeout 20m ./...

.PHONY: thorough
thorough: ## Run all tests with all their repetitions, such as syncs killed at 100 points.
	@STRAKE_TESTS=thorough $(MAKE) --no-print-directory test

.PHONY: lint
lint: ## Check the code's form, the generated files and the module files.
# Without a revision in it, it isn't linked again for each commit.
	@cd tools && $(GO) build -buildvcs=false -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@bin/golangci-lint run ./...
	@cd examples/sandbox && ../../bin/golangci-lint run -c ../../.golangci.yml ./...
	@$(GO) mod tidy -diff

.PHONY: generate
generate: ## Write the generated files again: the JSON Schemas.
	@$(GO) generate ./...

.PHONY: bench
bench: build ## Run the benchmarks; whole calls of strake are timed in a sandbox.
	@$(MAKE) --no-print-directory sandbox SANDBOX=$(SANDBOX)
	@eval "$$(bin/sandbox env --name $(SANDBOX))"; \
	$(GO) test -run '^$$' -bench . -benchtime 10x -timeout 30m ./...

.PHONY: clean
clean: ## Stop the sandboxes of this checkout and remove what was built.
	@if [ -x bin/sandbox ]; then for s in $(SANDBOX) test; do bin/sandbox down --name $$s --purge || true; done; fi
	@rm -rf bin
