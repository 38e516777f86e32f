//! Accepts connections, speaks HTTP/1.1 and h2c on them, keeps their limits, and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Both loopbacks, 127.0.0.1 and ::1, on one port.
    Localhost(u16),
    /// One address.
    Tcp(SocketAddr),
    /// A Unix socket, mode 0660.
    Unix(PathBuf),
}

/// Limits of one listener.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Connections open at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Time for a request's head; also how long a connection may idle.
    pub header_timeout: Duration,
    /// Time for which a reader may take nothing.
    pub write_timeout: Duration,
    /// Bytes of a request's head.
    pub headers_max: usize,
}
