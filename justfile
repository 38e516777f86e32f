# The commands of daily work; `just --list` shows them. Without just: each is the cargo line below its name.

# Everything that is tested: no server, account or network needed
test:
    cargo test --locked

# Format and lints, as strict as CI
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# The gateway before a simulated Logto, with a short story of real requests
demo:
    cargo run --locked --release -- demo

# What a hit and a pass cost, in memory
bench:
    cargo bench --locked

# An hour of load before every kind of limiter, simulated in seconds
limiters:
    cargo bench --locked --bench limiters

# How many instructions the pieces of the way take, against the record; needs valgrind
instructions:
    bash benches/instructions.sh

# Licences, advisories, bans, sources; not in CI, since `cargo install --locked cargo-deny` takes minutes
deny:
    cargo deny check

# Everything that CI runs, the same way
ci:
    bash .ci/run
