//! Connections over real sockets: what works, and what is said when it doesn't.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

pub(super) fn plain() -> Settings {
    let connect_timeout = Duration::from_secs(5);
    Settings { connect_timeout, extra_roots_pem: None, https_proxy: None, no_proxy: None }
}

pub(super) fn trusting(pem: &str) -> Settings {
    Settings { extra_roots_pem: Some(pem.as_bytes().to_vec()), ..plain() }
}

pub(super) fn origin(tls: bool, port: u16) -> Origin {
    Origin { tls, host: "127.0.0.1".into(), port }
}

pub(super) async fn port_of_nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Serves every connection with `serve`; its port.
pub(super) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp));
        }
    });
    port
}

/// A TLS server that says `hello`; its port and its certificate, which signs itself.
pub(super) async fn tls_server(host: &str, expired: bool) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    if expired {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let port = server(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            let _ = tls.write_all(b"hello").await;
            let _ = tls.read(&mut [0]).await; // until the client leaves
        }
    });
    (port.await, certificate.pem())
}

pub(super) async fn dial(settings: &Settings, to: Origin) -> Result<Stream, ConnectError> {
    Connector::new(settings, to).unwrap().connect().await
}

/// Why no connection came to be.
pub(super) async fn failure(settings: &Settings, to: Origin) -> ConnectError {
    dial(settings, to).await.err().expect("no connection")
}

pub(super) async fn says_hello(mut stream: Stream) {
    let mut said = [0; 5];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
}

#[test]
fn an_origin_is_read_from_an_absolute_uri() {
    let of = |uri: &'static str| Origin::of(&Uri::from_static(uri)).map(|o| (o.to_string(), o.host));
    let read = |shown: &str, host: &str| Some((shown.to_owned(), host.to_owned()));
    assert_eq!(of("https://tenant.logto.app/api"), read("https://tenant.logto.app", "tenant.logto.app"));
    assert_eq!(of("http://localhost:3001"), read("http://localhost:3001", "localhost"));
    assert_eq!(of("http://user@[::1]:80/"), read("http://[::1]", "::1"));
    assert_eq!(of("ftp://localhost/"), None);
    assert_eq!(of("/api"), None);
}

#[tokio::test]
async fn a_plain_server_is_reached() {
    let port = server(|mut tcp| async move { tcp.write_all(b"hello").await.unwrap() }).await;
    says_hello(dial(&plain(), origin(false, port)).await.unwrap()).await;
}

#[tokio::test]
async fn a_port_without_a_server_is_refused() {
    let to = origin(false, port_of_nobody().await);
    let failed = failure(&plain(), to.clone()).await;
    assert!(matches!(&failed, ConnectError::Refused(o) if *o == to), "{failed}");
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    // Longer than a label may be: the resolver refuses it without asking anyone.
    let to = Origin { tls: false, host: format!("{}.invalid", "a".repeat(64)), port: 80 };
    let failed = failure(&plain(), to).await;
    assert!(matches!(failed, ConnectError::Dns { .. }), "{failed}");
    assert_eq!(failed.proxy_error(), "dns_error");
}

#[tokio::test]
async fn a_server_that_stays_silent_times_out() {
    let port =
        server(|mut tcp| async move { while tcp.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {} }).await;
    let settings = Settings { connect_timeout: Duration::from_millis(50), ..plain() };
    let failed = failure(&settings, origin(true, port)).await;
    assert!(matches!(failed, ConnectError::TimedOut(..)), "{failed}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_the_remedy_named() {
    let (port, pem) = tls_server("127.0.0.1", false).await;
    let failed = failure(&plain(), origin(true, port)).await;
    assert!(failed.to_string().contains("upstream.ca_file"), "{failed}");
    says_hello(dial(&trusting(&pem), origin(true, port)).await.unwrap()).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, pem) = tls_server("elsewhere.example", false).await;
    let failed = failure(&trusting(&pem), origin(true, port)).await;
    assert!(failed.to_string().contains("other names (DnsName(\"elsewhere.example\"))"), "{failed}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (port, pem) = tls_server("127.0.0.1", true).await;
    let failed = failure(&trusting(&pem), origin(true, port)).await;
    assert!(failed.to_string().contains("has expired"), "{failed}");
}

#[tokio::test]
async fn a_plain_server_spoken_tls_to_is_named_as_one() {
    let port = server(|mut tcp| async move {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = tcp.read(&mut [0; 1024]).await;
    });
    let failed = failure(&plain(), origin(true, port.await)).await;
    assert!(failed.to_string().contains("does not speak TLS on this port"), "{failed}");
}

#[test]
fn authorities_that_are_none_are_refused_at_the_start() {
    let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "not PEM", garbled] {
        let refused = Connector::new(&trusting(pem), origin(true, 443)).err().expect("refused");
        assert!(matches!(refused, TrustError::Authorities(_)), "{pem}: {refused}");
    }
}

#[test]
fn installing_the_cryptography_twice_is_no_mistake() {
    install_crypto();
    install_crypto();
}
