//! The keys of the way to Logto: `[upstream]` and `[credentials]`.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;

use super::endpoint::{certificates, doubts, endpoint, indicator, resource};
use super::parse::{Parsed, Wrong, file_text, positive, text};
use super::problem::Origin;
use super::reader::Reader;
use super::value::Value;
use crate::connect;
use crate::reply::Api;
use crate::secret::Secret;
use crate::{token, upstream};

/// How Logto is reached, and as whom.
pub(super) struct Logto {
    pub(super) upstream: upstream::Settings,
    pub(super) connect: connect::Settings,
    pub(super) token: token::Settings,
}

/// `None` is noted: without endpoint, id and secret there is no gateway.
pub(super) fn logto(r: &mut Reader) -> Option<Logto> {
    let origin = r
        .key("upstream.endpoint", "Where Logto is, scheme and host only; also LOGTO_ENDPOINT")
        .required("https://your-tenant.logto.app", endpoint);
    let resource = r
        .key(
            "upstream.resource",
            "Which API the token is for; derived, except for custom domains of Logto Cloud",
        )
        .optional("https://your-tenant.logto.app/api", resource);
    let connect = connect(r);
    let response_timeout = r
        .key(
            "upstream.response_timeout",
            "How long Logto may take to answer, and between two parts of a body",
        )
        .or("30s", positive);
    let credentials = credentials(r);
    let origin = origin?;
    if let Some(doubt) = doubts(&origin, r.origin("upstream.resource").is_some()) {
        r.warn(doubt);
    }
    let resource = resource.unwrap_or_else(|| indicator(&origin));
    let token = credentials?.token(&origin, resource, response_timeout);
    Some(Logto { upstream: upstream::Settings { origin, response_timeout }, connect, token })
}

fn connect(r: &mut Reader) -> connect::Settings {
    connect::Settings {
        extra_roots_pem: r
            .key(
                "upstream.ca_file",
                "Certificate authorities beside the built-in ones, in PEM: for a private CA",
            )
            .optional("/etc/ssl/certs/company-ca.pem", certificates),
        connect_timeout: r
            .key(
                "upstream.connect_timeout",
                "Name resolution, TCP and TLS together; giving up here costs nothing",
            )
            .or("5s", positive),
        https_proxy: r.variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
        no_proxy: r.variable(&["NO_PROXY", "no_proxy"]),
    }
}

struct Credentials {
    app_id: String,
    app_secret: Secret,
    scope: String,
}

fn credentials(r: &mut Reader) -> Option<Credentials> {
    let app_id = r
        .key("credentials.app_id", "The machine-to-machine application in Logto's Console; also LOGTO_APP_ID")
        .required("your-app-id", text);
    let app_secret = app_secret(r);
    let scope =
        r.key("credentials.scope", "What the token may do; Logto's API knows \"all\" only").or("all", text);
    Some(Credentials { app_id: app_id?, app_secret: app_secret?, scope })
}

fn app_secret(r: &mut Reader) -> Option<Secret> {
    const KEY: &str = "credentials.app_secret";
    const FILE: &str = "credentials.app_secret_file";
    let written = r.key(KEY, "Its secret; better given as LOGTO_APP_SECRET, or as a file").secret();
    let from_file = r
        .key(FILE, "A file that holds the secret and nothing else; also LOGTO_APP_SECRET_FILE")
        .optional("/run/secrets/logto-app-secret", secret_file);
    match (r.origin(KEY).cloned(), r.origin(FILE).cloned()) {
        (Some(_), Some(at)) => {
            let what = format!("is given twice: {FILE} is set as well ({at})");
            r.note(KEY, Wrong::new(what, "set one of the two"));
        }
        (Some(Origin::File { path, .. }), None) if is_world_readable(&path) => {
            r.warn(format!("{} holds a secret, and everybody may read it: chmod o-r", path.display()));
        }
        (None, None) => {
            r.note_missing(KEY, format!("set LOGTO_APP_SECRET or LOGTO_APP_SECRET_FILE, or {KEY}_file"));
        }
        _ => {}
    }
    written.or(from_file)
}

/// Editors and `echo` end a file with a newline, which is no part of the secret.
fn secret_file(value: &Value) -> Parsed<Secret> {
    let content = zeroize::Zeroizing::new(file_text(value)?);
    match content.trim_end_matches(['\r', '\n']) {
        "" => Err(Wrong::new("is an empty file", "write the application's secret into it")),
        secret => Ok(Secret::new(secret)),
    }
}

#[cfg(unix)]
fn is_world_readable(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_world_readable(_: &std::path::Path) -> bool {
    false
}

impl Credentials {
    /// Token and API share one origin: on Logto Cloud the issuer follows the host.
    fn token(self, origin: &connect::Origin, resource: String, timeout: Duration) -> token::Settings {
        let url = format!("{origin}/oidc/token");
        token::Settings {
            url: Uri::try_from(url).expect("the origin was parsed from a URL"),
            app_id: self.app_id,
            app_secret: self.app_secret,
            resource: Some(resource),
            scope: self.scope,
            audience: None,
            extra: BTreeMap::new(),
            api: Api::Logto,
            timeout,
        }
    }
}
