# The one door: make demo, make test, make lint, make bench, make install.

CARGO  ?= cargo
PREFIX ?= /usr/local
UNITS  := labtop-agent.service labtop-gateway.service
UNITDIR = $(PREFIX)/lib/systemd/system
TARGET := $(or $(CARGO_TARGET_DIR),target)
LABTOP := $(TARGET)/release/labtop
# rustup puts cargo here; a shell of root's often does not look there.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help demo demo-down test torture soak test-garage lint bench build release install uninstall setup-build

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 18

demo: ## get this machine ready, build, and open a room of live seats on the board
	@scripts/setup demo
	$(CARGO) build --release --locked
	$(LABTOP) demo $(ARGS)

demo-down: release ## archive and remove the demo's room
	$(LABTOP) demo --down

test: ## get this machine ready and run every test
	@scripts/setup test
	$(CARGO) test --locked $(ARGS); status=$$?; \
	docker image prune --all --force --filter label=io.labtop.image=labtop-test >/dev/null 2>&1; exit $$status

torture: ## kill -9 the agent 200 times (LABTOP_TORTURE_KILLS) in the middle of closings; LABTOP_TORTURE_SEED replays one
	@scripts/setup test
	LABTOP_TORTURE_KILLS=$${LABTOP_TORTURE_KILLS:-200} $(CARGO) test --locked --test torture -- --nocapture

soak: ## let rooms of 40 seats come, go and expire for 20 minutes (LABTOP_SOAK_SECONDS): memory and everything else stays flat
	@scripts/setup test
	LABTOP_SOAK_SECONDS=$${LABTOP_SOAK_SECONDS:-1200} $(CARGO) test --locked --test long soak -- --nocapture

test-garage: ## run the S3 tests against a Garage (or another server) that you have: LABTOP_TEST_S3_*
	@test -n "$$LABTOP_TEST_S3_ENDPOINT" || { \
	echo "test-garage: needs a running S3 server: set LABTOP_TEST_S3_ENDPOINT, _BUCKET, _ACCESS_KEY, _SECRET_KEY and, unless it is \"garage\", _REGION"; \
	echo "test-garage: Garage itself: cargo install garage, then https://garagehq.deuxfleurs.fr/documentation/quick-start/"; exit 1; }
	$(CARGO) test --locked --test archive_s3 rclone_stores_and_gives_back
	$(CARGO) test --locked --test archive_s3_edges own_names_by_rclone

lint: ## formatting, lints, licences and banned crates
	@scripts/setup lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --quiet --test architecture --test dependencies
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; fi

bench: ## measure openings and archives against what there is without labtop, the board's first screen, fifty boards at once, a lab that signs in, and memory
	@scripts/setup bench
	$(CARGO) bench --locked --bench rooms --bench crowd --bench doors --bench archives $(ARGS)

build: setup-build ## build for work on labtop
	$(CARGO) build --locked

release: setup-build ## build what is installed
	$(CARGO) build --release --locked

setup-build:
	@scripts/setup build

install: release ## install under PREFIX (/usr/local), below DESTDIR
	install -D -m 755 $(LABTOP) $(DESTDIR)$(PREFIX)/bin/labtop
	@for unit in $(UNITS); do \
		install -D -m 644 assets/systemd/$$unit $(DESTDIR)$(UNITDIR)/$$unit && \
		sed -i 's|/usr/local/|$(PREFIX)/|' $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
		echo "installed $(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	install -D -m 644 assets/nftables/labtop.nft $(DESTDIR)$(PREFIX)/share/labtop/labtop.nft
	install -D -m 644 assets/systemd/labtop.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/labtop.conf
	install -D -m 644 config.example.toml $(DESTDIR)$(PREFIX)/share/doc/labtop/config.example.toml
	install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/labtop/README.md
	install -D -m 644 LICENSE-MIT $(DESTDIR)$(PREFIX)/share/doc/labtop/LICENSE-MIT
	install -D -m 644 LICENSE-APACHE $(DESTDIR)$(PREFIX)/share/doc/labtop/LICENSE-APACHE

uninstall: ## take it away again
	rm -f $(DESTDIR)$(PREFIX)/bin/labtop $(addprefix $(DESTDIR)$(UNITDIR)/,$(UNITS))
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/labtop.conf $(DESTDIR)$(PREFIX)/share/labtop/labtop.nft
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/labtop
