//! The TCP way to an origin: direct, or by CONNECT through the proxy that the environment names.

use std::error::Error;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::error::root;
use super::{ConnectError, Origin, Settings, TrustError};

/// Long enough to cost nothing, short enough to find a dead peer before NAT tables forget us.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The way to one origin.
pub(super) struct Route {
    to: Uri,
    limit: Duration,
    way: Way,
}

enum Way {
    Direct(HttpConnector),
    Tunnel(Tunnel<HttpConnector>),
}

impl Route {
    pub(super) fn new(settings: &Settings, origin: &Origin) -> Result<Self, TrustError> {
        let to = Uri::try_from(format!("{origin}/")).map_err(|_| TrustError::Host(origin.host.clone()))?;
        let tcp = tcp(settings.connect_timeout);
        let way = match proxy(settings, &to)? {
            None => Way::Direct(tcp),
            Some(proxy) => Way::Tunnel(tunnel(&proxy, tcp)),
        };
        Ok(Self { to, limit: settings.connect_timeout, way })
    }

    pub(super) async fn open(&self, origin: &Origin) -> Result<TcpStream, ConnectError> {
        let io = match &self.way {
            Way::Direct(tcp) => {
                let opened = tcp.clone().oneshot(self.to.clone()).await;
                opened.map_err(|e| ConnectError::of_tcp(&e, origin, self.limit))?
            }
            Way::Tunnel(tunnel) => {
                let opened = tunnel.clone().oneshot(self.to.clone()).await;
                opened.map_err(|e| ConnectError::Proxy { origin: origin.clone(), cause: refusal(&e) })?
            }
        };
        Ok(io.into_inner())
    }
}

/// Races IPv6 against IPv4 (RFC 8305) and shares its time among a name's addresses.
fn tcp(limit: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_connect_timeout(Some(limit));
    tcp
}

/// The proxy for `to`, if the environment names one and doesn't except the host. A proxy that can't be used
/// is an error: going around it in silence would leak past a firewall's rule, or hang at it.
fn proxy(settings: &Settings, to: &Uri) -> Result<Option<Intercept>, TrustError> {
    let named = settings.https_proxy.as_deref().map_or("", str::trim);
    if named.is_empty() || excepted(settings.no_proxy.as_deref().unwrap_or_default(), to) {
        return Ok(None);
    }
    match Matcher::builder().https(named).build().intercept(to) {
        None => Err(TrustError::Proxy("it is not a URI such as http://proxy.example:3128")),
        Some(proxy) if proxy.uri().scheme() != Some(&Scheme::HTTP) => {
            Err(TrustError::Proxy("only http:// proxies are supported (they tunnel https all the same)"))
        }
        proxy => Ok(proxy),
    }
}

/// Plain origins, and `NO_PROXY` by curl's rules; hyper-util doesn't hold `*` against addresses, curl does.
fn excepted(no_proxy: &str, to: &Uri) -> bool {
    let any = Matcher::builder().https("http://proxy").no(no_proxy).build();
    no_proxy.split(',').any(|entry| entry.trim() == "*") || any.intercept(to).is_none()
}

fn tunnel(proxy: &Intercept, tcp: HttpConnector) -> Tunnel<HttpConnector> {
    let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
    match proxy.basic_auth() {
        None => tunnel,
        Some(auth) => tunnel.with_auth(auth.clone()),
    }
}

/// The tunnel's error type has no public name: its text is what tells the cases apart.
fn refusal(error: &(dyn Error + 'static)) -> String {
    match error.to_string().trim_start_matches("tunnel error: ") {
        "proxy authorization required" => {
            "it wants credentials, or other ones (407); write them as http://user:password@host:port".into()
        }
        "unsuccessful" => "it answered neither 200 nor 407".into(),
        "unexpected end of file" => "it closed the connection without an answer".into(),
        "failed to create underlying connection" => format!("it can't be reached, {}", root(error).1),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
    use tokio::sync::mpsc;

    use super::super::Connector;
    use super::super::tests::{
        dial, failure, origin, plain, port_of_nobody, says_hello, server, tls_server, trusting,
    };
    use super::*;

    /// A proxy that answers `answer` and tunnels if that is a 200; its port, and the requests' heads it saw.
    async fn proxy(answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
        let (saw, seen) = mpsc::unbounded_channel();
        let port = server(move |mut tcp| {
            let saw = saw.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let to = head.split(' ').nth(1).unwrap().to_owned();
                saw.send(head).unwrap();
                tcp.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains(" 200 ") {
                    let mut onward = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut tcp, &mut onward).await;
                }
            }
        });
        (port.await, seen)
    }

    const TUNNELS: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

    #[tokio::test]
    async fn a_proxy_tunnels_and_gets_its_credentials() {
        let (port, pem) = tls_server("127.0.0.1", false).await;
        let (proxy, mut seen) = proxy(TUNNELS).await;
        let https_proxy = Some(format!("http://user:p%40ss@127.0.0.1:{proxy}"));
        let settings = Settings { https_proxy, ..trusting(&pem) };
        says_hello(dial(&settings, origin(true, port)).await.unwrap()).await;
        let head = seen.recv().await.unwrap();
        assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    }

    #[tokio::test]
    async fn a_proxy_that_wants_credentials_is_named_without_showing_any() {
        let (proxy, _seen) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        let https_proxy = Some(format!("http://user:pass@127.0.0.1:{proxy}"));
        let failed = failure(&Settings { https_proxy, ..plain() }, origin(true, 443)).await;
        assert!(failed.to_string().contains("407") && !failed.to_string().contains(":pass@"), "{failed}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_or_is_not_there_is_told_apart() {
        let (refuses, _seen) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n").await;
        for (port, cause) in [(refuses, "neither 200 nor 407"), (port_of_nobody().await, "can't be reached")]
        {
            let https_proxy = Some(format!("127.0.0.1:{port}"));
            let failed = failure(&Settings { https_proxy, ..plain() }, origin(true, 443)).await;
            assert!(failed.to_string().contains(cause), "{failed}");
        }
    }

    #[tokio::test]
    async fn no_proxy_and_plain_origins_go_direct() {
        let https_proxy = Some("http://127.0.0.1:1".to_owned());
        let plain_port = server(|mut tcp| async move { tcp.write_all(b"hello").await.unwrap() }).await;
        let settings = Settings { https_proxy: https_proxy.clone(), ..plain() };
        says_hello(dial(&settings, origin(false, plain_port)).await.unwrap()).await;

        let (port, pem) = tls_server("127.0.0.1", false).await;
        for no_proxy in ["127.0.0.1", "*", "other.example, 127.0.0.0/8"] {
            let no_proxy = Some(no_proxy.to_owned());
            let settings = Settings { https_proxy: https_proxy.clone(), no_proxy, ..trusting(&pem) };
            says_hello(dial(&settings, origin(true, port)).await.unwrap()).await;
        }
    }

    #[test]
    fn a_proxy_of_no_use_is_an_error_and_not_gone_around() {
        for useless in ["https://proxy.example:3128", "socks5://127.0.0.1:1080", "http://", "not a uri"] {
            let settings = Settings { https_proxy: Some(useless.to_owned()), ..plain() };
            let refused = Connector::new(&settings, origin(true, 443)).err().expect("refused");
            assert!(matches!(refused, TrustError::Proxy(_)), "{useless}: {refused}");
            assert!(Connector::new(&settings, origin(false, 80)).is_ok());
        }
    }
}
