# `make run` and `make test` are all that is needed; `make help` lists the rest.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
RUN_ARGS ?= --scripts examples/scripts

.PHONY: all library run test venv docs sessions bench lint fmt install uninstall deb dist wheel clean help chaos check-release \
	verlihub-plugin install-verlihub test-verlihub test-mariadb

# What `vhpy --version` says; a source archive has it in a file.
export VHPY_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || cat COMMIT 2>/dev/null)

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
	VHPY_WRITE_STUB=1 $(CARGO) test --test worker stub::the_file

sessions: all ## record the terminal sessions in README.md and docs/ anew; needs ncdc and tmux
	docs/record.py

chaos: ## a million events while scripts are killed, stopped and made to hang
	$(CARGO) build --workspace --release
	$(CARGO) test --release --test chaos -- --ignored --nocapture --test-threads 1
	$(CARGO) test --release --test hub strangers:: -- --ignored --nocapture
	VHPY_RELOADS=1000 $(CARGO) test --release --test supervisor reloads::nothing_that_both
	VHPY_TEST_BACKUPS=100 $(CARGO) test --release --test hub survival::backups

check-release: ## what is too long for every run: Debian 12 and 13, chaos in full, long fuzzing
	tests/check-release

bench: all ## measure messages per second
	target/release/vhpy bench

lint: ## what CI checks besides the tests
	.ci/rust-version
	packaging/check-version
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	for features in "" metrics hub bench; do $(CARGO) clippy --package vhpy --all-targets --no-default-features --features "$$features" -- -D warnings || exit 1; done
	@if command -v cargo-machete >/dev/null; then $(CARGO) machete; else echo "unused dependencies are not looked for: cargo install cargo-machete"; fi
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --quiet

fmt: ## format the sources
	$(CARGO) fmt --all

library: ## build libvhpy.so alone, as hubs load it: without the embedded hub
	$(CARGO) build --release --lib --no-default-features --features metrics --target-dir target/library

# Where what was built lies, and what the files are that `make install` needs.
BUILT ?= target/release
LIBRARY ?= target/library/release
LIBDIR ?= $(PREFIX)/lib
# Lets programs find libvhpy.so that were not built with what pkg-config says.
LDCONFIG ?= ldconfig
# Whether what only debuggers need is kept, where they look for it.
DEBUG_FILES ?= yes

# $(call install_stripped,FILE,FOLDER,MODE)
define install_stripped
	install -D -m $(3) $(1) $(DESTDIR)$(2)/$(notdir $(1))
	if [ "$(DEBUG_FILES)" = yes ]; then \
		mkdir -p $(DESTDIR)$(2)/.debug && \
		objcopy --only-keep-debug $(1) $(DESTDIR)$(2)/.debug/$(notdir $(1)).debug && \
		objcopy --strip-unneeded --add-gnu-debuglink=$(DESTDIR)$(2)/.debug/$(notdir $(1)).debug $(DESTDIR)$(2)/$(notdir $(1)); \
	else objcopy --strip-unneeded $(DESTDIR)$(2)/$(notdir $(1)); fi
endef

install: ## install what was built to PREFIX (default /usr/local); builds nothing
	@for file in $(BUILT)/vhpy $(BUILT)/libvh_worker.so $(LIBRARY)/libvhpy.so; do \
		[ -e $$file ] || { echo "$$file is not there: run  make all library  first, as the user who has Rust" >&2; exit 1; }; done
	$(call install_stripped,$(BUILT)/vhpy,$(PREFIX)/bin,755)
	$(call install_stripped,$(LIBRARY)/libvhpy.so,$(LIBDIR),644)
	$(call install_stripped,$(BUILT)/libvh_worker.so,$(LIBDIR),644)
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include plugin-abi/include/*.h*
	mkdir -p $(DESTDIR)$(PREFIX)/share/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|' -e "s|@VERSION@|$$(sed -n 's/^version = \"\(.*\)\"$$/\1/p' Cargo.toml | head -1)|" \
		packaging/vhpy.pc.in >$(DESTDIR)$(PREFIX)/share/pkgconfig/vhpy.pc
	chmod 644 $(DESTDIR)$(PREFIX)/share/pkgconfig/vhpy.pc
	install -D -m 644 worker/vh.pyi $(DESTDIR)$(PREFIX)/share/vhpy/stubs/vh.pyi
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/vhpy/examples examples/scripts/*.py
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/vhpy README.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/vhpy/docs docs/*.md
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || $(LDCONFIG)

uninstall: ## remove what `make install` has put into PREFIX
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/vhpy bin/.debug/vhpy.debug include/vhpy.h include/vhpy.hpp share/pkgconfig/vhpy.pc)
	rm -f $(foreach name,libvhpy.so libvh_worker.so,$(DESTDIR)$(LIBDIR)/$(name) $(DESTDIR)$(LIBDIR)/.debug/$(name).debug)
	rm -rf $(DESTDIR)$(PREFIX)/share/vhpy $(DESTDIR)$(PREFIX)/share/doc/vhpy
	-rmdir $(DESTDIR)$(PREFIX)/bin/.debug $(DESTDIR)$(LIBDIR)/.debug 2>/dev/null
	[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || $(LDCONFIG)

dist: ## make everything of a release, into target/dist: wheel, sdist, Debian packages, source archive, SHA256SUMS
	packaging/dist

deb: all library ## build the Debian packages, into target/deb
	packaging/deb

VERLIHUB_CONFIG = $(if $(VERLIHUB_PREFIX),$(VERLIHUB_PREFIX)/bin/verlihub_config,verlihub_config)
VERLIHUB_MAKE = $(MAKE) --no-print-directory -C plugin-abi/verlihub LIBDIR=$(LIBDIR)

verlihub-plugin: ## build libpython_pi.so for the Verlihub on the PATH or in VERLIHUB_PREFIX
	@command -v $(VERLIHUB_CONFIG) >/dev/null || { echo "verlihub_config is not on the PATH: install Verlihub 1.7 with its headers, or set VERLIHUB_PREFIX to where it is installed" >&2; exit 1; }
	$(CARGO) build --workspace --release
	$(VERLIHUB_MAKE)

install-verlihub: ## install the plugin that was built into Verlihub's folder of plugins, the rest to PREFIX; builds nothing
	@[ -e target/verlihub/libpython_pi.so ] || { echo "target/verlihub/libpython_pi.so is not there: run  make verlihub-plugin library  first, as the user who has Rust" >&2; exit 1; }
	$(MAKE) --no-print-directory install
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
