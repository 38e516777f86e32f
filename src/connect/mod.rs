//! The only place that opens connections: plain, TLS, through a proxy, or in memory for tests.

mod error;
mod route;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

pub use self::error::{ConnectError, TrustError};
use self::route::Route;
use self::tls::Tls;
pub use self::tls::install_crypto;

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
    /// The origin of an absolute `http` or `https` URI; `None` for any other.
    pub fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme()? {
            s if *s == Scheme::HTTPS => true,
            s if *s == Scheme::HTTP => false,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host, port })
    }

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

/// Makes connections to one origin. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Memory(Arc<dyn Fn() -> Result<Stream, ConnectError> + Send + Sync>),
    Network(Arc<Network>),
}

impl Connector {
    /// Connections over the network to `origin`.
    pub fn new(settings: &Settings, origin: Origin) -> Result<Self, TrustError> {
        let network = Network {
            timeout: settings.connect_timeout,
            route: Route::new(settings, &origin)?,
            tls: if origin.tls { Some(Tls::new(settings, &origin)?) } else { None },
            origin,
        };
        Ok(Self { kind: Kind::Network(Arc::new(network)) })
    }

    /// Connections that never leave the process, for tests on paused time.
    pub fn memory(dial: impl Fn() -> Result<Stream, ConnectError> + Send + Sync + 'static) -> Self {
        Self { kind: Kind::Memory(Arc::new(dial)) }
    }

    /// One new connection.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        match &self.kind {
            Kind::Memory(dial) => dial(),
            Kind::Network(network) => network.connect().await,
        }
    }
}

struct Network {
    origin: Origin,
    timeout: Duration,
    route: Route,
    tls: Option<Tls>,
}

impl Network {
    async fn connect(&self) -> Result<Stream, ConnectError> {
        let late = || ConnectError::TimedOut(self.origin.clone(), self.timeout);
        timeout(self.timeout, self.open()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        let tcp = self.route.open(&self.origin).await?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => Ok(Box::new(tls.handshake(&self.origin, tcp).await?)),
        }
    }
}
