//! Names and addresses of this gateway's own: where it listens, and how it may be called.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use http::HeaderName;

use super::parse::{Parsed, Wrong};
use crate::listener::Address;

/// What a `sockaddr_un` holds on every Unix, its final zero included, is 104 bytes.
const SOCKET_PATH_MAX: usize = 103;

/// A loopback address with a port, or a Unix socket: whoever reaches it speaks for the tenant.
pub(super) fn address(written: &str) -> Parsed<Address> {
    const RIGHT: &str =
        r#"write "localhost:8480", "127.0.0.1:8480", "[::1]:8480" or "unix:/run/logto-gateway.sock""#;
    match any_address(written, RIGHT)? {
        Address::Tcp(address) if !address.ip().is_loopback() => {
            let what =
                "is not a loopback address: callers must be configured first; not available in this version";
            Err(Wrong::new(what, RIGHT))
        }
        address => Ok(address),
    }
}

/// Any address with a port, or a Unix socket: for what everybody may know.
pub(super) fn open_address(written: &str) -> Parsed<Address> {
    any_address(written, r#"write "localhost:8482", "0.0.0.0:8482" or "[::]:8482""#)
}

fn any_address(written: &str, right: &str) -> Parsed<Address> {
    if let Some(path) = written.strip_prefix("unix:") {
        return socket(path);
    }
    if let Some(port) = written.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| Wrong::new("has no valid port", right))?;
        return Ok(Address::Localhost(port));
    }
    let address = written.parse().map_err(|_| Wrong::new("is not a listen address", right))?;
    Ok(Address::Tcp(address))
}

fn socket(path: &str) -> Parsed<Address> {
    const RIGHT: &str = r#"write an absolute path, as in "unix:/run/logto-gateway.sock""#;
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(Wrong::new("names no file", RIGHT));
    }
    if path.len() > SOCKET_PATH_MAX {
        return Err(Wrong::new(
            format!("is longer than a socket's path may be, {SOCKET_PATH_MAX} bytes"),
            RIGHT,
        ));
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

/// Whether both can't be listened on at once. Port 0 is a new one each time.
pub(super) fn collide(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Unix(one), Address::Unix(other)) => one == other,
        (Address::Tcp(one), Address::Tcp(other)) => {
            one.port() == other.port() && one.port() != 0 && overlap(one.ip(), other.ip())
        }
        (Address::Localhost(one), Address::Localhost(other)) => one == other && *one != 0,
        (Address::Localhost(port), Address::Tcp(tcp)) | (Address::Tcp(tcp), Address::Localhost(port)) => {
            let loopbacks = [IpAddr::from([127, 0, 0, 1]), IpAddr::from(Ipv6Addr::LOCALHOST)];
            *port != 0 && *port == tcp.port() && loopbacks.into_iter().any(|ip| overlap(ip, tcp.ip()))
        }
        (Address::Unix(_), _) | (_, Address::Unix(_)) => false,
    }
}

/// Whether a port of one is a port of the other too: 0.0.0.0 is every v4 address, [::] is every address.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let covers = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

/// A host name or an address, lower-case.
pub(super) fn host(written: &str) -> Parsed<String> {
    const RIGHT: &str = r#"write the name alone, as in "gateway.internal""#;
    let host = written.to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return Ok(host);
    }
    if host.contains("://") {
        return Err(Wrong::new("has a scheme", RIGHT));
    }
    if host.contains(':') {
        return Err(Wrong::new("has a port", RIGHT));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.is_empty() || !host.chars().all(named) {
        return Err(Wrong::new("is not a host name", RIGHT));
    }
    Ok(host)
}

/// A request header that may go upstream.
pub(super) fn header(written: &str) -> Parsed<HeaderName> {
    const OURS: [&str; 12] = [
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name: HeaderName = written
        .parse()
        .map_err(|_| Wrong::new("is not a header name", r#"write names alone, as in "x-tenant""#))?;
    if OURS.contains(&name.as_str()) {
        return Err(Wrong::new("is the gateway's own to set", "leave it out"));
    }
    Ok(name)
}
