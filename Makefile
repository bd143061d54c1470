# The four commands. `make help` prints them.
CARGO ?= cargo
PEERS := postfix dovecot-core dovecot-imapd dovecot-lmtpd swaks s-nail neomutt msmtp thunderbird chromium strace faketime procps curl openssl python3 nsd ldnsutils pebble softhsm2 python3-dkim python3-spf python3-nacl python3-dnspython

.PHONY: help run test test-quick bench fuzz check fmt deny advisories config-docs peers build

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: ## two organisations on this machine, a first mail between them, until Ctrl-C
	@deploy/demo/run

build: ## the gateway and everything beside it, unoptimised
	$(CARGO) build --workspace --locked

test: build ## every test, with real peers (make peers installs them)
	$(CARGO) test --workspace --locked --no-fail-fast

test-quick: ## the tests that need no other software
	$(CARGO) test --workspace --locked --exclude tests

bench: ## throughput and latency against a Postfix pair, in one run on this machine
	$(CARGO) build --release --locked --workspace
	$(CARGO) run --release --locked --quiet -p dccp --example speed
	$(CARGO) run --release --locked --quiet -p smtp --example reading
	$(CARGO) run --release --locked --quiet -p finding --example hit
	$(CARGO) run --release --locked --quiet -p gateway --example people
	$(CARGO) run --release --locked --quiet -p policies --example cost
	$(CARGO) run --release --locked --quiet -p smtp --example idle
	$(CARGO) run --release --locked -p tests --bin bench

fuzz: ## every decoder with libFuzzer, FUZZ_S=60 seconds each (needs cargo-fuzz: cargo install --locked cargo-fuzz)
	@tests/fuzz/run $(or $(FUZZ_S),60)

check: fmt deny ## format, lints, licences and bans, documentation
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet

fmt:
	$(CARGO) fmt --all --check

deny: ## licences, bans and sources (needs cargo-deny: cargo install --locked cargo-deny)
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	$(CARGO) fetch --locked --quiet
	$(CARGO) deny --offline check bans licenses sources

advisories: ## known vulnerabilities; fetches the RustSec database
	$(CARGO) deny check advisories

config-docs: ## print docs/CONFIG.md and deploy/dccp-config.yaml again, from the code
	$(CARGO) run --quiet --locked -p gateway -- config --markdown > docs/CONFIG.md
	$(CARGO) run --quiet --locked -p gateway -- config --sample > deploy/dccp-config.yaml

peers: ## install the real servers and clients that the tests talk to (Debian)
	@deploy/demo/install $(PEERS)
