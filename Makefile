# Homeostat. `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags
TOOL := go tool -modfile=go.tools.mod

LAB := bin/lab

# The end-to-end tests run where a lab can run. E2E=required fails where it cannot, E2E=off leaves them out.
E2E ?= auto

# The rules in alerts/ are tested by promtool, amtool and Alertmanager. PROMTOOL=required fails where they are not installed.
export PROMTOOL ?= auto

##@ Build

.PHONY: build
build: ## build bin/homeostat and bin/demoapp
	@mkdir -p bin
	$(GO_BUILD) '-s -w -X github.com/homeostat/homeostat/internal/cli.version=$(VERSION)' -o bin/homeostat ./cmd/homeostat
	$(GO_BUILD) '-s -w -X main.version=$(VERSION)' -o bin/demoapp ./cmd/demoapp

.PHONY: $(LAB)
$(LAB):
	@mkdir -p bin
	cd lab && CGO_ENABLED=0 go build -trimpath -o ../bin/lab ./cmd/lab

# What goes into an image is for Linux, whatever builds it.
MACHINE ?= $(shell uname -s)
IN_IMAGES := $(if $(filter Linux,$(MACHINE)),bin,dist/linux)
.PHONY: images
images: build $(LAB) ## build dist/homeostat.tar and dist/demoapp.tar, without Docker
	@mkdir -p dist
ifneq ($(IN_IMAGES),bin)
	@mkdir -p $(IN_IMAGES)
	GOOS=linux $(GO_BUILD) '-s -w -X github.com/homeostat/homeostat/internal/cli.version=$(VERSION)' -o $(IN_IMAGES)/homeostat ./cmd/homeostat
	GOOS=linux $(GO_BUILD) '-s -w -X main.version=$(VERSION)' -o $(IN_IMAGES)/demoapp ./cmd/demoapp
endif
	$(LAB) image --name localhost/homeostat:dev --entrypoint /homeostat --out dist/homeostat.tar $(IN_IMAGES)/homeostat
	$(LAB) image --name localhost/demoapp:dev --entrypoint /demoapp --out dist/demoapp.tar $(IN_IMAGES)/demoapp

##@ Try

# OBSERVABILITY=1: Prometheus, Alertmanager and Loki beside the lab, with the rules and the log shipper.
OBSERVABILITY ?= 0
.PHONY: demo
demo: build ## the whole story on a real Kubernetes: the cluster of KUBECONFIG, or a lab made for it; OBSERVABILITY=1 with a monitor beside it
	OBSERVABILITY=$(OBSERVABILITY) hack/demo.sh up

.PHONY: demo-queries
demo-queries: ## after `make demo OBSERVABILITY=1`: every query of the dashboards and the rules on its Prometheus and Loki
	hack/observability.sh queries

.PHONY: demo-pictures
demo-pictures: ## after `make demo OBSERVABILITY=1`: draw the dashboards over it, into PREVIEW=dist/dashboards (500 MB of npm)
	hack/observability.sh pictures $(PREVIEW)

.PHONY: demo-down
demo-down: ## remove what `make demo` left
	hack/demo.sh down

.PHONY: lab-up
lab-up: $(LAB) ## a real Kubernetes on this machine (Linux, root); options NODES=2 HPA=stock METRICS_SERVER=1
	$(LAB) up

.PHONY: lab-down
lab-down: $(LAB) ## end the lab and leave nothing behind
	$(LAB) down

.PHONY: lab-status
lab-status: $(LAB) ## what runs in the lab
	$(LAB) status

##@ Check

.PHONY: test
test: lint unit vuln model differential e2e ## everything: lint, unit tests with -race, govulncheck, random histories, the real HPA controller, end-to-end tests on real nodes

.PHONY: unit
unit: ## unit tests of the product, of the lab's tool and of deploy/stack, with -race
	go vet ./...
	go test -race -shuffle=on ./...
	cd lab && go vet ./... && go test -race -shuffle=on ./...
	cd deploy/stack/check && go vet ./... && go test -race -shuffle=on ./...

# Random histories of the healing engine: leader changes, lost events, refusals, clock jumps.
HISTORIES ?= 100000
.PHONY: model
model: ## the healing engine against random histories; HISTORIES=100000
	GOGC=300 go test ./healing -count=1 -timeout 60m -run 'TestModel$$' -v -histories=$(HISTORIES) | tail -n 20

.PHONY: rules
rules: ## the alert rules alone: promtool's unit tests, their runbooks, and one page for each root in a real Alertmanager
	go test -count=1 -v ./internal/telemetry/generate

# The real controller of Kubernetes beside ours; the first build of it takes some minutes.
SYNCS ?= 200000
SEED ?= 1
.PHONY: differential
differential: ## hold every sync against the controller of Kubernetes; SYNCS=200000 SEED=1
	cd hpa/differential && go vet ./... && go test -count=1 -v -timeout 60m . -syncs=$(SYNCS) -seed=$(SEED)

.PHONY: differential-long
differential-long: ## the same with 5 million syncs of seeds that nobody has seen
	cd hpa/differential && go test -count=1 -v -timeout 12h . -syncs=5000000 -seed=$$(date +%s)000000

.PHONY: lint
lint: ## golangci-lint over the product and the modules beside it
	@mkdir -p bin
	go build -modfile=go.tools.mod -o bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...
	cd lab && ../bin/golangci-lint run --config ../.golangci.yml ./...
	cd deploy/stack/check && ../../../bin/golangci-lint run --config ../../../.golangci.yml ./...
	cd hpa/differential && ../../bin/golangci-lint run --config ../../.golangci.yml ./...

.PHONY: vuln
vuln: ## govulncheck
	hack/vuln.sh

.PHONY: e2e
e2e: build ## end-to-end tests on a real node, the controller in its pod
	E2E=$(E2E) hack/e2e.sh

.PHONY: beside
beside: ## beside the native HPA on a lab: three failures, who keeps the replicas; records and draws the curves
	hack/beside.sh failures

.PHONY: reaction
reaction: ## beside the native HPA on a lab: seconds from a step of load to the write and to enough replicas
	hack/beside.sh reaction

.PHONY: corpus
corpus: ## record the corpus of real failures anew on a lab; ONLY=OOMKilled/ for some of them
	hack/corpus.sh

.PHONY: healing-report
healing-report: ## replay the recorded failures through the healing engine and write docs/healing-report.md
	go run ./internal/corpus/report -write docs/healing-report.md
	@sed -n '/^| what/,$$p' docs/healing-report.md

.PHONY: verify
verify: ## fail where generated files are stale or the code is not formatted
	hack/verify.sh

.PHONY: update
update: ## generate what is generated, format the code
	go generate ./...
	$(TOOL) golangci-lint fmt ./...

.PHONY: dashboards
dashboards: ## write the dashboards for Grafana anew: dashboards/grafana/*.json
	go generate ./dashboards/...

# DASHBOARDS=required fails where npm, Prometheus or Loki is missing, DASHBOARDS=off leaves out what needs them.
DASHBOARDS ?= auto
.PHONY: dashboards-check
dashboards-check: ## hold the dashboards against Grafana's types, and run their queries on a real Prometheus and Loki
	DASHBOARDS=$(DASHBOARDS) dashboards/check/check.sh
	DASHBOARDS=$(DASHBOARDS) go test -count=1 ./dashboards/...

PREVIEW ?= dist/dashboards
.PHONY: dashboards-preview
dashboards-preview: ## draw the dashboards with Grafana's components in Chromium, into PREVIEW=dist/dashboards (500 MB of npm)
	@mkdir -p $(PREVIEW)
	DASHBOARDS=required DASHBOARDS_PREVIEW=$(abspath $(PREVIEW)) go test -count=1 -v -timeout 20m -run '^TestPreview$$' ./dashboards

.PHONY: bench
bench: ## the benchmarks of docs/performance.md
	hack/bench.sh

SOAK_MINUTES ?= 60
SOAK_WORKLOADS ?= 300
.PHONY: soak
soak: ## an hour of crash loops and churn in the time of a bubble, and an hour of peace; SOAK_MINUTES=60 SOAK_WORKLOADS=300
	SOAK_MINUTES=$(SOAK_MINUTES) SOAK_WORKLOADS=$(SOAK_WORKLOADS) go test -count=1 -v -timeout 3h -run '^TestSoak$$' ./platform/kube

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## remove bin and dist
	rm -rf bin dist

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*##/ {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
