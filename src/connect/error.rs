//! Why no connection came to be, in words that name the remedy.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Origin;

/// Settings that say how to reach or trust a server, and can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// The file of further authorities is not PEM, or a certificate in it is not one.
    #[error(
        "the certificate authorities could not be read: {0} (upstream.ca_file must hold PEM certificates)"
    )]
    Authorities(String),
    /// The origin's host is neither a name nor an address.
    #[error("{0:?} is not a host name that a connection could be made to")]
    Host(String),
    /// The proxy's URI is of no use. It isn't shown, for it may hold a password.
    #[error("HTTPS_PROXY can't be used: {0}")]
    Proxy(&'static str),
}

/// Why no connection came to be: nothing was sent, so any call may be tried again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The host's name has no address.
    #[error(
        "the name {host} could not be resolved ({cause}); check upstream.endpoint (LOGTO_ENDPOINT), and the names \
         that this machine can resolve"
    )]
    Dns {
        /** The name. */
        host: String,
        /** Why. */
        cause: String,
    },
    /// Nobody listens there.
    #[error("connection to {0} refused: nobody listens there; check upstream.endpoint (LOGTO_ENDPOINT)")]
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
    /// The proxy did not let us through, or is not there.
    #[error("no tunnel to {origin} through the proxy: {cause} (HTTPS_PROXY)")]
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
        cause: Arc<io::Error>,
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

    /// What the TCP connector's error means for a connection to `origin`.
    pub(super) fn of_tcp(error: &(dyn Error + 'static), origin: &Origin, limit: Duration) -> Self {
        let (kind, text) = root(error);
        if error.to_string() == "dns error" {
            return Self::Dns { host: origin.host.clone(), cause: text };
        }
        match kind {
            io::ErrorKind::ConnectionRefused => Self::Refused(origin.clone()),
            io::ErrorKind::TimedOut => Self::TimedOut(origin.clone(), limit),
            _ => Self::Io { origin: origin.clone(), cause: Arc::new(io::Error::new(kind, text)) },
        }
    }
}

/// The last link of a chain of errors, where the operating system speaks.
pub(super) fn root(error: &(dyn Error + 'static)) -> (io::ErrorKind, String) {
    let mut link = error;
    let mut kind = io::ErrorKind::Other;
    loop {
        if let Some(io) = link.downcast_ref::<io::Error>() {
            kind = io.kind();
        }
        match link.source() {
            Some(next) => link = next,
            None => return (kind, link.to_string()),
        }
    }
}
