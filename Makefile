# `make` lists the targets; the comments behind them are the manual.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
# nextest where it is installed: it is faster and tells more; plain `cargo test` runs the same tests.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
RUN_TESTS = $(if $(NEXTEST),$(CARGO) nextest run --locked,$(CARGO) test --locked)
# On two cores three: half of the time a test waits.
export NEXTEST_TEST_THREADS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores > 3 ? cores : 3)))
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help install run test test-unit test-integration fmt lint dependencies doc docs-check program openapi openapi-check client client-check browser-check image-check observe-check provider-check gotrue-check schemathesis-check argon2-check check code-checks program-checks init-db up down stop-docker-compose bench consume-events start-rabbitmq-consumer

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 24

install: ## build the optimised binary into ~/.cargo/bin
	$(CARGO) install --locked --path .

run: ## serve on http://127.0.0.1:8000: SQLite, codes in memory, messages on the console
	$(CARGO) run --locked -- serve

test: ## every test, over SQLite and over real PostgreSQL, Redis and RabbitMQ (found, or started)
	tests/tools/with-servers $(RUN_TESTS)

# A story's module says what it runs over; what is not in one of these needs servers.
UNIT = kind(lib) + binary(layers) + test(/::embedded$$/)

test-unit: ## the tests that need no server
	$(if $(NEXTEST),$(RUN_TESTS) -E '$(UNIT)',$(RUN_TESTS) --lib --test layers && $(RUN_TESTS) --test '*' -- ::embedded)

test-integration: ## all other tests, over real PostgreSQL, Redis and RabbitMQ
	tests/tools/with-servers $(if $(NEXTEST),$(RUN_TESTS) -E 'not ($(UNIT))',$(RUN_TESTS) --test '*' -- --skip ::embedded)

fmt: ## format the code
	$(CARGO) fmt

lint: ## formatting and clippy, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: ## the documentation of the code, warnings as errors
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps --document-private-items

dependencies: ## licences, sources and advisories of all crates, and whether one is unused
	$(CARGO) deny --locked check bans licenses sources
	@if timeout 60 $(CARGO) deny fetch db; then $(CARGO) deny --locked check advisories; \
	else echo "make dependencies: ADVISORIES NOT CHECKED: their database is out of reach"; fi
	$(CARGO) machete

openapi: ## write the OpenAPI document to tests/openapi.json
	$(CARGO) run --quiet --locked -- openapi > tests/openapi.json

# Where BUILT says so it is: a second cargo would wait for the one that lints.
program:
	$(if $(BUILT),,$(CARGO) build --quiet --locked --bin enroll)

openapi-check: program ## lint the OpenAPI document
	tests/tools/openapi-check $(TARGET)

schemathesis-check: program ## Schemathesis over the document, about a minute (PyPI)
	tests/tools/schemathesis-check $(TARGET)

provider-check: ## the providers against Prism with Twilio's document, aiosmtpd and a webhook verifier (npm, PyPI)
	tests/tools/provider-check $(TARGET)

gotrue-check: program ## the GoTrue dialect by the public clients of JavaScript and Python, over both backends (npm, PyPI)
	tests/tools/with-servers tests/tools/gotrue-check $(TARGET)

client: ## build the TypeScript client, and copy it into the page
	cd clients/typescript && npm install --silent --no-audit --no-fund && npm run --silent generate && npm run --silent build
	cp clients/typescript/dist/enroll-client.js src/http/page/enroll-client.js

client-check: program ## the TypeScript client: types, size, and its tests against the real server (npm)
	tests/tools/client-check $(TARGET)

browser-check: program ## the page and the API documentation in Chromium (npm)
	tests/tools/browser-check $(TARGET)

image-check: program ## lint the Dockerfile, and run the program in the image's root file system (PyPI)
	tests/tools/image-check $(TARGET)/debug/enroll

docs-check: program ## run every shell block of the documentation, and build the book (mdbook)
	ENROLL_BIN=$(TARGET)/debug/enroll tests/tools/docs-check

argon2-check: ## both implementations of Argon2 hash alike (libclang)
	$(CARGO) test --quiet --locked --lib --features argon2-reference argon2id

observe-check: ## the alert rules, by promtool
	promtool check config deploy/prometheus/prometheus.yml
	cd deploy/prometheus && promtool test rules alerts_test.yml

check: program ## what CI runs, the page alone (its stories measure time), the tests last
	$(MAKE) --jobs=2 --output-sync=target BUILT=yes code-checks program-checks
	$(MAKE) BUILT=yes browser-check
	$(MAKE) test

# Two lines beside each other: this one compiles,
code-checks:
	$(MAKE) lint provider-check argon2-check doc dependencies
	$(RUN_TESTS) --no-run

# and this one mostly waits for the program, npm and PyPI.
program-checks:
	$(MAKE) openapi-check schemathesis-check observe-check image-check gotrue-check client-check docs-check

init-db: ## migrate the database
	$(CARGO) run --locked -- migrate

up: .compose.env ## start the fleet of docker-compose.yml: the app, PostgreSQL, Redis, RabbitMQ
	docker compose --env-file .compose.env up --build --wait

down: .compose.env ## stop that fleet
	docker compose --env-file .compose.env down

stop-docker-compose: down ## the same as down

consume-events: ## consume events from AMQP_URL, a JSON line each
	$(CARGO) run --locked -- consume-events

start-rabbitmq-consumer: consume-events ## the same as consume-events

bench: ## measure it beside bare Argon2id and pgbench, in one run; ROWS="verify login" for these alone
	tests/tools/with-servers $(CARGO) bench --locked --profile dist --bench bench -- $(ROWS)

.compose.env: # the fleet's root key, made once
	umask 077 && echo "ENROLL__SECRETS__KEY=$$(head -c 32 /dev/urandom | base64)" > $@
