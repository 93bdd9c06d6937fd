# `make run` and `make test` are all that is needed; `make help` lists the rest.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
RUN_ARGS ?= --scripts examples/scripts

.PHONY: all library run test venv docs sessions bench lint fmt install wheel clean help chaos check-release \
	verlihub-plugin install-verlihub test-verlihub test-mariadb

all: ## build everything, optimised
	$(CARGO) build --workspace --release

run: all ## start a hub with the example scripts on 127.0.0.1:4111
	target/release/vhpy hub $(RUN_ARGS)

test: ## run all tests; what was skipped, and why, stands at the end
	$(CARGO) build --workspace
	@CARGO="$(CARGO)" tests/run

venv: target/venv/installed ## install the Python packages that tests use into target/venv

target/venv/installed: tests/requirements.txt
	rm -rf target/venv
	python3 -m venv target/venv
	target/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	cp tests/requirements.txt $@

docs: ## write the generated parts of docs/ and the type stub anew
	UPDATE_DOCS=1 $(CARGO) test --test docs tables
	VHPY_WRITE_STUB=1 $(CARGO) test --test worker_stub file

sessions: all ## record the terminal sessions in README.md and docs/ anew; needs ncdc and tmux
	docs/record.py

chaos: ## a million events while scripts are killed, stopped and made to hang
	$(CARGO) build --workspace --release
	$(CARGO) test --release --test chaos -- --ignored --nocapture --test-threads 1
	$(CARGO) test --release --test hub_strangers -- --ignored --nocapture
	VHPY_TEST_BACKUPS=100 $(CARGO) test --release --test hub_state backups

check-release: ## what is too long for every run: Debian 12 and 13, chaos in full, long fuzzing
	tests/check-release

bench: all ## measure messages per second
	target/release/vhpy bench

lint: ## what CI checks besides the tests
	.ci/rust-version
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	for features in "" hub bench; do $(CARGO) clippy --package vhpy --all-targets --no-default-features --features "$$features" -- -D warnings || exit 1; done
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --quiet

fmt: ## format the sources
	$(CARGO) fmt --all

library: ## build libvhpy.so alone, as hubs load it: without the embedded hub
	$(CARGO) build --release --lib --no-default-features --target-dir target/library

# $(call install_stripped,FILE,FOLDER): what only debuggers need goes where they look for it.
define install_stripped
	install -D -m 755 $(1) $(DESTDIR)$(2)/$(notdir $(1))
	mkdir -p $(DESTDIR)$(2)/.debug
	objcopy --only-keep-debug $(1) $(DESTDIR)$(2)/.debug/$(notdir $(1)).debug
	objcopy --strip-unneeded --add-gnu-debuglink=$(DESTDIR)$(2)/.debug/$(notdir $(1)).debug $(DESTDIR)$(2)/$(notdir $(1))
endef

install: all library ## install to PREFIX (default /usr/local)
	$(call install_stripped,target/release/vhpy,$(PREFIX)/bin)
	$(call install_stripped,target/library/release/libvhpy.so,$(PREFIX)/lib)
	$(call install_stripped,target/release/libvh_worker.so,$(PREFIX)/lib)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include plugin-abi/include/*.h*
	install -D -m 644 worker/vh.pyi $(DESTDIR)$(PREFIX)/share/vhpy/stubs/vh.pyi
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/vhpy/examples examples/scripts/*.py
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/vhpy README.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/vhpy/docs docs/*.md

VERLIHUB_CONFIG = $(if $(VERLIHUB_PREFIX),$(VERLIHUB_PREFIX)/bin/verlihub_config,verlihub_config)
VERLIHUB_MAKE = $(MAKE) --no-print-directory -C plugin-abi/verlihub LIBDIR=$(PREFIX)/lib

verlihub-plugin: ## build libpython_pi.so for the Verlihub on the PATH or in VERLIHUB_PREFIX
	@command -v $(VERLIHUB_CONFIG) >/dev/null || { echo "verlihub_config is not on the PATH: install Verlihub 1.7 with its headers, or set VERLIHUB_PREFIX to where it is installed" >&2; exit 1; }
	$(CARGO) build --workspace --release
	$(VERLIHUB_MAKE)

install-verlihub: verlihub-plugin install ## install libpython_pi.so into Verlihub's folder of plugins, the rest to PREFIX
	plugins=$$($(VERLIHUB_CONFIG) --plugins); case "$$plugins" in /*) ;; *) plugins="$$($(VERLIHUB_CONFIG) --prefix)/$$plugins";; esac; \
	install -D -m 755 target/verlihub/libpython_pi.so "$(DESTDIR)$$plugins/libpython_pi.so"

test-verlihub: ## test the plugin in a real Verlihub with a throw-away configuration and database
	@if command -v $(VERLIHUB_CONFIG) >/dev/null; then \
		$(MAKE) --no-print-directory verlihub-plugin && \
		python3 tests/verlihub/run.py --prefix "$$($(VERLIHUB_CONFIG) --prefix)"; \
	else echo "skipped: no Verlihub is installed (verlihub_config on the PATH, or VERLIHUB_PREFIX)"; fi

wheel: ## build the Python package vhpy-hub, with the program and the libraries in it, into target/wheels
	python3 -m pip wheel --quiet --no-deps --wheel-dir target/wheels ./python

test-mariadb: ## run the statements of tests/sql on a MariaDB server of their own, and compare
	python3 tests/sql/mariadb.py
	$(CARGO) test --lib hub::sql

clean: ## remove what was built
	$(CARGO) clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18
