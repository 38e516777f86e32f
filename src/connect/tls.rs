//! TLS towards the upstream: whom to trust, and what a failed handshake means.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ConnectError, Origin, Settings, TrustError};

/// Makes ring the process's own cryptography, for libraries that ask for "the default". Safe to call again.
pub fn install_crypto() {
    // An error says that one is installed already, which is what is wanted.
    let _ = ring::default_provider().install_default();
}

/// Handshakes with one origin.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(settings: &Settings, origin: &Origin) -> Result<Self, TrustError> {
        let name =
            ServerName::try_from(origin.host.clone()).map_err(|_| TrustError::Host(origin.host.clone()))?;
        let roots = roots(settings.extra_roots_pem.as_deref())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn handshake(
        &self,
        origin: &Origin,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let done = self.connector.connect(self.name.clone(), tcp).await;
        done.map_err(|e| ConnectError::Tls { origin: origin.clone(), cause: cause(&e) })
    }
}

/// The bundled authorities (Mozilla's), and those of `upstream.ca_file`.
fn roots(extra: Option<&[u8]>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(pem) = extra else { return Ok(roots) };
    let bundled = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| TrustError::Authorities(e.to_string()))?;
        roots.add(certificate).map_err(|e| TrustError::Authorities(e.to_string()))?;
    }
    if roots.len() == bundled {
        return Err(TrustError::Authorities("no certificate in it".into()));
    }
    Ok(roots)
}

/// What a failed handshake means, with the remedy where one is known.
fn cause(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the server closed the connection; it may not speak TLS on this port".into();
    }
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "the server does not speak TLS on this port; its address may begin with http://".into()
        }
        Some(rustls::Error::InvalidCertificate(fault)) => distrust(fault),
        Some(rustls::Error::AlertReceived(alert)) => format!("the server refused it ({alert:?})"),
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

fn distrust(fault: &CertificateError) -> String {
    use CertificateError as E;
    match fault {
        E::UnknownIssuer => {
            "its certificate comes from an unknown authority; if it is your own, add it with upstream.ca_file"
                .into()
        }
        E::Expired | E::ExpiredContext { .. } => {
            "its certificate has expired (or this machine's clock is wrong)".into()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "its certificate is not valid yet (or this machine's clock is wrong)".into()
        }
        E::NotValidForName => "its certificate is for another name".into(),
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate names no host at all".into()
        }
        E::NotValidForNameContext { presented, .. } => {
            format!("its certificate is for other names ({})", presented.join(", "))
        }
        E::Other(_) => {
            format!(
                "its certificate can't be used ({fault:?}); one that is marked as an authority can't be a server's"
            )
        }
        other => format!("its certificate can't be used ({other:?})"),
    }
}
