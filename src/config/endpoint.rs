//! Where Logto is: the endpoint, and what follows from it.

use std::net::IpAddr;

use http::Uri;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::parse::{Parsed, Wrong, file_bytes, text};
use super::value::Value;
use crate::connect::Origin;

/// The Management API's indicator on Logto's own installation.
const SELF_HOSTED: &str = "https://default.logto.app/api";

/// Scheme, host and port, and nothing else: paths are the clients' part.
pub(super) fn endpoint(value: &Value) -> Parsed<Origin> {
    const RIGHT: &str = r#"write scheme and host, for instance "https://your-tenant.logto.app""#;
    let written = text(value)?;
    let Some((scheme, rest)) = written.split_once("://") else {
        return Err(Wrong::new("has no scheme", RIGHT));
    };
    if !["https", "http"].contains(&scheme) {
        return Err(Wrong::new("has a scheme other than https and http", RIGHT));
    }
    if rest.contains('@') {
        return Err(Wrong::new("holds a user name or a password", RIGHT));
    }
    let uri: Uri = written.parse().map_err(|error| Wrong::new(format!("is not a URL: {error}"), RIGHT))?;
    let origin = origin(&uri).ok_or_else(|| Wrong::new("has no valid host and port", RIGHT))?;
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        let right = format!("write \"{origin}\"; paths such as /api come from the clients");
        return Err(Wrong::new("has a path, a query or a fragment", right));
    }
    Ok(origin)
}

fn origin(uri: &Uri) -> Option<Origin> {
    let authority = uri.authority()?;
    let tls = uri.scheme_str() == Some("https");
    let port = match authority.as_str().strip_prefix(authority.host())?.strip_prefix(':') {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    Some(Origin { tls, host, port }).filter(|origin| !origin.host.is_empty())
}

/// The resource indicator of the tenant's Management API.
pub(super) fn indicator(origin: &Origin) -> String {
    match origin.host.strip_suffix(".logto.app").and_then(|labels| labels.split('.').next()) {
        Some(tenant) => format!("https://{tenant}.logto.app/api"),
        None => SELF_HOSTED.to_owned(),
    }
}

/// What is allowed, and perhaps not meant.
pub(super) fn doubts(origin: &Origin, resource_is_set: bool) -> Option<String> {
    let Origin { tls, host, .. } = origin;
    if !tls && !is_loopback(host) {
        return Some(format!("{origin} is not encrypted: the token and the data travel in clear; use https"));
    }
    let own_name = *tls && !host.ends_with(".logto.app") && !is_local(host);
    (own_name && !resource_is_set).then(|| {
        format!(
            "{host}: if this is a custom domain of Logto Cloud, set upstream.resource to \
             https://<tenant>.logto.app/api; for a Logto of your own, {SELF_HOSTED} is right"
        )
    })
}

fn is_loopback(host: &str) -> bool {
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Addresses, and names that no public DNS knows.
fn is_local(host: &str) -> bool {
    const PRIVATE: [&str; 6] = [".local", ".internal", ".lan", ".test", ".svc", ".home.arpa"];
    let named = !host.contains('.') || PRIVATE.iter().any(|suffix| host.ends_with(suffix));
    named || is_loopback(host) || host.parse::<IpAddr>().is_ok()
}

/// An absolute URI without a fragment (RFC 8707 §2).
pub(super) fn resource(value: &Value) -> Parsed<String> {
    let written = text(value)?;
    let absolute = written.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some());
    if absolute && !written.contains('#') {
        return Ok(written);
    }
    Err(Wrong::new("is not an absolute URI", r#"write it as in "https://your-tenant.logto.app/api""#))
}

/// At least one certificate, and nothing that isn't one.
pub(super) fn certificates(value: &Value) -> Parsed<Vec<u8>> {
    const RIGHT: &str = "name a file with certificates of authorities, -----BEGIN CERTIFICATE-----";
    let pem = file_bytes(value)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added =
            certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
        added.map_err(|error| Wrong::new(format!("holds a broken certificate: {error}"), RIGHT))?;
    }
    if roots.is_empty() {
        return Err(Wrong::new("holds no PEM certificate", RIGHT));
    }
    Ok(pem)
}
