# Two commands for a newcomer: `make run` (or `cargo run --release`) and `make test`.
# Foreign programs that tests need are installed by tests/tools/install, into a cache outside the tree.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

TARGET ?= $(shell uname -m)-unknown-linux-gnu

.PHONY: help run static test test-rust test-ops test-browser test-lab test-truth test-runtimes lint advisories bench lab-up lab-down

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

run: ## Build and run the agent
	$(CARGO) run --release --locked

static: ## The binary that needs no library; fails if it is larger than its budget of 10 MiB
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(TARGET)
	size="$$(stat --format=%s target/$(TARGET)/release/highwater)"; echo "$$size bytes"; (( size <= 10 * 1024 * 1024 ))

# One after another: on a new machine those that install packages would meet at apt's lock, and the lab's agent would find the cells of
# the truth test.
test: test-rust test-ops test-browser test-truth test-runtimes test-lab ## Everything: unit, property, golden, rules, dashboards, chart, status page, real kubelets and runtimes, lab

test-rust: ## Unit, property, golden and integration tests
	PATH="$$(tests/tools/install promtool prometheus jsonschema):$$PATH" $(CARGO) test --locked

test-ops: ## Alerts, dashboards, chart and runbooks, with the real tools
	tests/ops/run

test-browser: ## The status page in headless Chromium
	tests/browser/test

test-lab: ## The three-layer node with real runtimes and kubelets; needs root
	tests/lab/test

test-truth: ## What highwater foretells against what real kubelets delete; 17 minutes, needs root and Go
	tests/lab/truth/run

test-runtimes: ## What highwater says of containerd 2 and CRI-O against what they say; half a minute, needs root and Go
	tests/lab/runtimes/run

lint: ## Formatting, clippy, documentation and dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	PATH="$$(tests/tools/install cargo-deny):$$PATH" cargo-deny --config .deny.toml --locked check bans licenses sources

advisories: ## Known vulnerabilities in dependencies; needs the advisory database, which is a git repository
	PATH="$$(tests/tools/install cargo-deny):$$PATH" cargo-deny --config .deny.toml --locked check advisories

bench: ## The budgets of docs/benchmarks.md, each beside a peer
	PATH="$$(tests/tools/install node_exporter dust pdu):$$PATH" $(CARGO) bench --locked

lab-up: ## Bring the lab up and leave it
	tests/lab/lab up

lab-down: ## Take the lab away
	tests/lab/lab down
