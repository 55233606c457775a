# For a newcomer: `make run` (or `cargo run --release`), `make check`, and `make help` for the rest.
# Foreign programs that tests need are installed by tests/tools/install, into a cache outside the tree.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

TARGET ?= $(shell uname -m)-unknown-linux-gnu

.PHONY: help run check dist msrv image packages sbom test-packages render chart-package checksums publish release-check release-notes test test-rust test-ops test-browser test-lab test-truth test-runtimes lint advisories bench lab-up lab-down

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Every day

run: ## Build and run the agent
	$(CARGO) run --release --locked

check: ## Formatting, clippy, unit and integration tests, without root and without installing anything
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	PATH="$$(tests/tools/install --dir):$$PATH" $(CARGO) test --locked --lib --test it

lint: ## Formatting, clippy, documentation and dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	PATH="$$(tests/tools/install cargo-deny):$$PATH" cargo-deny --config .deny.toml --locked check bans licenses sources

advisories: ## Known vulnerabilities in dependencies; needs the advisory database, which is a git repository
	PATH="$$(tests/tools/install cargo-deny):$$PATH" cargo-deny --config .deny.toml --locked check advisories

bench: ## The budgets of docs/benchmarks.md, each beside a peer, with the binary that is released
	PATH="$$(tests/tools/install node_exporter dust pdu):$$PATH" $(CARGO) bench --locked --profile dist

##@ Tests; how long each takes is in .github/CONTRIBUTING.md

# One after another: on a new machine those that install packages would meet at apt's lock, and the lab's agent would find the cells of
# the truth test.
test: test-rust test-ops test-browser test-truth test-runtimes test-lab ## Everything below

test-rust: ## Unit, property, golden and integration tests, with the foreign programs that read our output
	PATH="$$(tests/tools/install promtool prometheus jsonschema):$$PATH" $(CARGO) test --locked

test-ops: ## Alerts, dashboards, chart and runbooks, with the real tools
	tests/ops/run

test-browser: ## The status page in headless Chromium
	tests/browser/test

test-lab: ## The three-layer node with real runtimes and kubelets; needs root
	tests/lab/test

test-truth: ## Predictions against what real kubelets delete; needs root and Go
	tests/lab/truth/run

# Each is built from its Go module once, which takes some minutes.
RELEASES = v1.28.15 v1.29.15 v1.31.14 v1.33.13 v1.35.8 v1.37.2

test-truth-all: ## The same with kubelets of six releases, one after the other; two hours
	for release in $(RELEASES); do LAB_KUBERNETES=$$release tests/lab/truth/run || exit; done

test-runtimes: ## What highwater says of containerd 2 and CRI-O against what they say; needs root and Go
	tests/lab/runtimes/run

lab-up: ## Bring the lab up and leave it
	tests/lab/lab up

lab-down: ## Take the lab away
	tests/lab/lab down

##@ Releases; each is a step of .github/workflows

TOOLS = PATH="$$(tests/tools/install $(1)):$$PATH"

dist: ## The static binary that is released; fails if it is larger than its budget of 10 MiB
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --profile dist --locked --target $(TARGET)
	size="$$(stat --format=%s target/$(TARGET)/dist/highwater)"; echo "$$size bytes"; (( size <= 10 * 1024 * 1024 ))

msrv: ## Compile with the oldest Rust that Cargo.toml promises
	rustup run --install "$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" $(CARGO) check --locked --all-targets

image: ## The container image as an OCI archive in target/package, from the binary of `make dist`; needs root
	$(call TOOLS,buildah) packaging/image

packages: ## Static tarball, deb and rpm in target/package, from the binary of `make dist`
	$(call TOOLS,cargo-deb cargo-generate-rpm) packaging/packages

sbom: ## What the binary is made of, as CycloneDX
	packaging/sbom

test-packages: ## Image and packages: size, content, and that two builds are one; after `make dist`, needs root
	HIGHWATER_DIST="$${BINARY:-target/$(TARGET)/dist/highwater}" tests/ops/run packages

render: ## Copy the rules and dashboards into the chart and render the kustomize bases from it
	$(call TOOLS,helm) packaging/render

chart-package: ## The chart as an archive in target/package
	export SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)"; $(call TOOLS,helm) helm package helm/highwater --destination target/package

checksums: ## SHA256SUMS of what target/package has
	cd target/package && sha256sum -- highwater*.* >SHA256SUMS && cat SHA256SUMS

publish: ## Push image and chart to the registry; needs REGISTRY_USER and REGISTRY_TOKEN
	$(call TOOLS,buildah helm) packaging/publish

release-check: ## Do tag, Cargo.toml, chart and changelog name one version? TAG=v1.2.3
	packaging/release check "$(TAG)"

release-notes: ## This version's chapter of the changelog, into target/package/NOTES.md; TAG=v1.2.3
	packaging/release notes "$(TAG)"
