//! The keys of `[listen]`: where clients and operators come in.

use std::time::Duration;

use super::address::{address, collide, open_address};
use super::parse::{KIB, MANY, Parsed, Wrong, count, list, off_or, positive, size, text};
use super::reader::Reader;
use super::value::Value;
use crate::listener::{self, Address};

/// Where clients and operators come in, and how they are let go.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Where clients call; at least one.
    pub data: Vec<Address>,
    /// Where operators look.
    pub admin: Address,
    /// Liveness, readiness and metrics on an address of their own.
    pub health: Option<Address>,
    /// Worker threads.
    pub threads: usize,
    /// Limits of each listener.
    pub settings: listener::Settings,
    /// Requests of clients in the house at once.
    pub requests_max: usize,
    /// How long a stop waits for what is under way.
    pub drain_max: Duration,
}

/// `[listen]`
pub(super) fn listen(r: &mut Reader) -> Listen {
    let one = |value: &Value| address(&text(value)?);
    let open = |value: &Value| open_address(&text(value)?);
    let listen = Listen {
        data: r
            .key(
                "listen.data",
                "Where clients call: \"localhost\" is both loopbacks; or \"unix:/run/x.sock\", or an array",
            )
            .or("localhost:8480", addresses),
        admin: r
            .key("listen.admin", "Where /live, /ready, /metrics and the status page are; for operators only")
            .or("localhost:8481", one),
        health: r
            .key(
                "listen.health",
                "/live, /ready and /metrics, and nothing else; any address, for instance \"0.0.0.0:8482\"",
            )
            .or("off", off_or(open)),
        threads: r
            .key("listen.threads", "Worker threads; Logto's limit is reached with a small part of one")
            .or(1, count(1..=256)),
        settings: connections(r),
        requests_max: r
            .key("listen.requests_max", "Requests in the house at once; further ones are refused with 503")
            .or(8192, count(1..=MANY)),
        drain_max: r
            .key(
                "listen.drain_max",
                "How long a stop waits for what is under way; Kubernetes kills after 30s",
            )
            .or("25s", positive),
    };
    if r.is_sound("listen") {
        note_collisions(r, &listen);
    }
    listen
}

fn connections(r: &mut Reader) -> listener::Settings {
    /// hyper's read buffer is never smaller.
    const HEADERS_MIN: u64 = 8 * KIB;
    listener::Settings {
        connections_max: r
            .key("listen.connections_max", "Connections open at once; further ones wait to be accepted")
            .or(4096, count(1..=MANY)),
        header_timeout: r
            .key(
                "listen.header_timeout",
                "How long a request's head may take, and how long a connection may idle",
            )
            .or("30s", positive),
        write_timeout: r
            .key("listen.write_timeout", "How long a client may take nothing of its answer")
            .or("30s", positive),
        headers_max: r
            .key("listen.headers_max", "Bytes of a request's head")
            .or("16KiB", size(HEADERS_MIN..=1024 * KIB)),
        answer_timeout: r
            .key("listen.answer_timeout", "How long an HTTP/2 client may take over its answer")
            .or("120s", positive),
    }
}

fn addresses(value: &Value) -> Parsed<Vec<Address>> {
    let addresses = list(address)(value)?;
    if addresses.is_empty() {
        return Err(Wrong::new("names no address", r#"write one, as in "localhost:8480""#));
    }
    Ok(addresses)
}

fn note_collisions(r: &mut Reader, listen: &Listen) {
    let Listen { data, admin, health, .. } = listen;
    let mut taken: Vec<(&str, &Address)> = Vec::new();
    let named = data.iter().map(|address| ("listen.data", address));
    let named =
        named.chain([("listen.admin", admin)]).chain(health.iter().map(|address| ("listen.health", address)));
    for (key, address) in named {
        if let Some((other, _)) = taken.iter().find(|(_, other)| collide(address, other)) {
            r.note(
                key,
                Wrong::new(format!("is taken by {other}"), "give each an address or a port of its own"),
            );
        }
        taken.push((key, address));
    }
}
