//! Names and addresses of this gateway's own: where it listens, and how it may be called.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderName;

use super::parse::{Parsed, Wrong};
use crate::listener::Address;

/// What a `sockaddr_un` holds on every Unix, its final zero included, is 104 bytes.
const SOCKET_PATH_MAX: usize = 103;

/// A loopback address with a port, or a Unix socket.
pub(super) fn address(written: &str) -> Parsed<Address> {
    const RIGHT: &str =
        r#"write "localhost:8480", "127.0.0.1:8480", "[::1]:8480" or "unix:/run/logto-gateway.sock""#;
    if let Some(path) = written.strip_prefix("unix:") {
        return socket(path);
    }
    if let Some(port) = written.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| Wrong::new("has no valid port", RIGHT))?;
        return Ok(Address::Localhost(port));
    }
    let address: SocketAddr = written.parse().map_err(|_| Wrong::new("is not a listen address", RIGHT))?;
    if !address.ip().is_loopback() {
        let what =
            "is not a loopback address: callers must be configured first; not available in this version";
        return Err(Wrong::new(what, RIGHT));
    }
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
        (Address::Tcp(one), Address::Tcp(other)) => one == other && one.port() != 0,
        (Address::Localhost(one), Address::Localhost(other)) => one == other && *one != 0,
        (Address::Localhost(port), Address::Tcp(tcp)) | (Address::Tcp(tcp), Address::Localhost(port)) => {
            *port != 0 && *port == tcp.port() && is_localhost(tcp.ip())
        }
        (Address::Unix(_), _) | (_, Address::Unix(_)) => false,
    }
}

fn is_localhost(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1]) || ip == Ipv6Addr::LOCALHOST
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
