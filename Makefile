# `make run` and `make test` are all that is needed; `make help` lists the rest.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
RUN_ARGS ?= --scripts examples/scripts

.PHONY: all run test bench lint fmt install clean help chaos

all: ## build everything, optimised
	$(CARGO) build --workspace --release

run: all ## start a hub with the example scripts on 127.0.0.1:4111
	target/release/vhpy hub $(RUN_ARGS)

test: ## run all tests
	$(CARGO) build --workspace
	$(CARGO) test --workspace

chaos: ## a million events while scripts are killed, stopped and made to hang
	$(CARGO) build --workspace --release
	$(CARGO) test --release --test chaos -- --ignored --nocapture --test-threads 1

bench: all ## measure messages per second
	target/release/vhpy bench

lint: ## what CI checks besides the tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fmt: ## format the sources
	$(CARGO) fmt --all

install: all ## install to PREFIX (default /usr/local)
	install -D -m 755 target/release/vhpy $(DESTDIR)$(PREFIX)/bin/vhpy
	install -D -m 755 target/release/libvhpy.so $(DESTDIR)$(PREFIX)/lib/libvhpy.so
	install -D -m 755 target/release/libvh_worker.so $(DESTDIR)$(PREFIX)/lib/libvh_worker.so

clean: ## remove what was built
	$(CARGO) clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12
