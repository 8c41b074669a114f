# `make` lists the targets; the comments behind them are the manual.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
# nextest where it is installed: it is faster and tells more; plain `cargo test` runs the same tests.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
RUN_TESTS = $(if $(NEXTEST),$(CARGO) nextest run --locked,$(CARGO) test --locked)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help install run test test-unit test-integration fmt lint doc openapi-check provider-check check init-db up down stop-docker-compose bench consume-events start-rabbitmq-consumer

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 22

install: ## build the optimised binary into ~/.cargo/bin
	$(CARGO) install --locked --path .

run: ## serve on http://127.0.0.1:8000: SQLite, codes in memory, messages on the console
	$(CARGO) run --locked -- serve

test: ## every test, over SQLite and over real PostgreSQL, Redis and RabbitMQ (found, or started)
	tests/tools/with-servers $(RUN_TESTS)

test-unit: ## the tests that need no server
	$(if $(NEXTEST),$(CARGO) nextest run --locked -E 'not test(/fleet|redis|postgres|rabbitmq/)',$(CARGO) test --locked -- --skip fleet --skip redis --skip postgres --skip rabbitmq)

test-integration: ## the tests over real PostgreSQL, Redis and RabbitMQ alone
	tests/tools/with-servers $(if $(NEXTEST),$(CARGO) nextest run --locked -E 'test(/fleet|redis|postgres|rabbitmq/)',$(CARGO) test --locked -- fleet redis postgres rabbitmq)

fmt: ## format the code
	$(CARGO) fmt

lint: ## formatting and clippy, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: ## the documentation of the code, warnings as errors
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps --document-private-items

openapi-check: ## whether the OpenAPI document is one
	tests/tools/openapi-check $(TARGET)

provider-check: ## the providers against Prism with Twilio's document, aiosmtpd and a webhook verifier (npm, PyPI)
	tests/tools/provider-check $(TARGET)

check: lint openapi-check doc provider-check test ## what CI runs, the tests last

init-db: ## bring the database's schema up to date
	$(CARGO) run --locked -- migrate

up: .compose.env ## start the fleet of docker-compose.yml: the app, PostgreSQL, Redis, RabbitMQ
	docker compose --env-file .compose.env up --build --wait

down: .compose.env ## stop that fleet
	docker compose --env-file .compose.env down

stop-docker-compose: down ## the same as down

consume-events: ## listen to events at AMQP_URL, a JSON line each
	$(CARGO) run --locked -- consume-events

start-rabbitmq-consumer: consume-events ## the same as consume-events

bench: ## what it can do, beside bare Argon2id and pgbench, in one run
	tests/tools/with-servers $(CARGO) bench --locked --bench bench

.compose.env: # the fleet's root key, made once
	umask 077 && echo "ENROLL__SECRETS__KEY=$$(head -c 32 /dev/urandom | base64)" > $@
