//! The only place that opens connections: plain, TLS, through a proxy, or in memory for tests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to the upstream, whatever carries it.
pub type Stream = Box<dyn Connection>;

/// What a connection must be able to do.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// Scheme, host and port of a server (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS is spoken (`https`).
    pub tls: bool,
    /// Host name, or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Origin {
    /// Host, and port unless it is the scheme's own: what `Host` carries (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// How connections are made.
#[derive(Clone)]
pub struct Settings {
    /// Name resolution, TCP and TLS handshake, and the proxy's part, together.
    pub connect_timeout: Duration,
    /// Further certificate authorities, in PEM, beside the bundled ones.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// `HTTPS_PROXY`: its URI, for `https` origins.
    pub https_proxy: Option<String>,
    /// `HTTP_PROXY`… is not honoured for plain upstreams; `NO_PROXY` excepts hosts from the above.
    pub no_proxy: Option<String>,
}

/// Why no connection came to be: nothing was sent, so any call may be tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The host's name has no address.
    #[error("the name {host} could not be resolved ({cause})")]
    Dns {
        /** The name. */
        host: String,
        /** Why. */
        cause: String,
    },
    /// Nobody listens there.
    #[error("connection to {0} refused")]
    Refused(Origin),
    /// No connection within `connect_timeout`.
    #[error("no connection to {0} within {1:?} (upstream.connect_timeout)")]
    TimedOut(Origin, Duration),
    /// The TLS handshake failed.
    #[error("TLS handshake with {origin} failed: {cause}")]
    Tls {
        /** With whom. */
        origin: Origin,
        /** Why, with the remedy where one is known. */
        cause: String,
    },
    /// The proxy did not let us through.
    #[error("the proxy refused the tunnel to {origin}: {cause}")]
    Proxy {
        /** Whereto. */
        origin: Origin,
        /** Why. */
        cause: String,
    },
    /// Anything else the operating system says.
    #[error("connection to {origin} failed: {cause}")]
    Io {
        /** Whereto. */
        origin: Origin,
        /** Why. */
        cause: Arc<std::io::Error>,
    },
}

impl ConnectError {
    /// The error type of RFC 9209 §2.3 that names this failure.
    pub fn proxy_error(&self) -> &'static str {
        match self {
            Self::Dns { .. } => "dns_error",
            Self::Refused(_) => "connection_refused",
            Self::TimedOut(..) => "connection_timeout",
            Self::Tls { .. } => "tls_protocol_error",
            Self::Proxy { .. } | Self::Io { .. } => "destination_unavailable",
        }
    }
}

/// Makes connections to one origin.
#[derive(Clone)]
pub struct Connector {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Memory(Arc<dyn Fn() -> Result<Stream, ConnectError> + Send + Sync>),
}

impl Connector {
    /// Connections that never leave the process, for tests on paused time.
    pub fn memory(dial: impl Fn() -> Result<Stream, ConnectError> + Send + Sync + 'static) -> Self {
        Self { kind: Kind::Memory(Arc::new(dial)) }
    }

    /// One new connection.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        match &self.kind {
            Kind::Memory(dial) => dial(),
        }
    }
}
