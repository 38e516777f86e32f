//! The keys of `[door]`, and the other limits of a call: who may come in, and with how much.

use super::address::{header, host};
use super::parse::{GIB, Wrong, bytes_text, list, one_of, positive, size};
use super::reader::Reader;
use super::value::Value;
use crate::call;
use crate::guard::{self, Anonymous};

/// `[door]`, as far as it says who may come in.
pub(super) fn guard(r: &mut Reader) -> guard::Settings {
    let anonymous = [("guarded", Anonymous::Guarded), ("open", Anonymous::Open), ("deny", Anonymous::Deny)];
    guard::Settings {
        anonymous: r
            .key(
                "door.anonymous",
                "\"guarded\": writes and reads of secrets need an Authorization header; \"open\"; \"deny\"",
            )
            .or("guarded", one_of(anonymous)),
        hosts: r
            .key(
                "door.hosts",
                "Names by which clients call this gateway, beside localhost; other hosts are refused",
            )
            .or(Value::List(Vec::new()), list(host)),
    }
}

/// `[door]`, as far as it says what may come in, and the times of a call.
pub(super) fn limits(r: &mut Reader) -> call::Limits {
    let limits = call::Limits {
        body_max: r
            .key("door.body_max", "The largest request body; it is held, so that it can be sent again")
            .or("1MiB", size(1..=GIB)),
        upload_max: r
            .key("door.upload_max", "The largest body of an upload route; it is streamed, once")
            .or("20MiB", size(1..=1024 * GIB)),
        held_bodies_max: r
            .key("door.held_bodies_max", "All held bodies together")
            .or("32MiB", size(1..=64 * GIB)),
        forward_headers: r
            .key("door.forward_headers", "Request headers that go to Logto beside the standard ones")
            .or(Value::List(Vec::new()), list(header)),
        body_timeout: r
            .key(
                "listen.body_timeout",
                "How long a request's body may take; a streamed one, between two parts",
            )
            .or("30s", positive),
        call_timeout: r
            .key(
                "upstream.call_timeout",
                "A whole call, from accept to the last byte, with its waits and retries",
            )
            .or("120s", positive),
    };
    if r.is_sound("door") && limits.held_bodies_max < limits.body_max {
        let right = format!("write {} or more", bytes_text(limits.body_max as u64));
        r.note("door.held_bodies_max", Wrong::new("is less than one body may have (door.body_max)", right));
    }
    limits
}
