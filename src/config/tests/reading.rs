//! What a configuration without mistakes means.

use std::fmt::Write;
use std::time::Duration;

use super::super::{Config, Format, Sources, reference};
use super::{ENOUGH, Setup};
use crate::catalog::Class;
use crate::listener::Address;
use crate::observe::LogRequests;

/// What `config/gateway.toml` says.
const SHIPPED: &str = include_str!("../../../config/gateway.toml");

#[test]
fn the_shipped_file_is_written_from_the_declarations() {
    assert!(SHIPPED == reference(), "config/gateway.toml should read:\n{}", reference());
}

#[test]
fn the_shipped_file_says_what_nobody_setting_anything_gets() {
    assert_eq!(shown(&Setup::enough(SHIPPED).config()), shown(&Setup::enough("").config()));
}

#[test]
fn the_shipped_files_examples_are_keys_too() {
    let example =
        |line: &'static str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
    let lines: Vec<_> = SHIPPED.lines().map(example).collect();
    let said = Setup::file(&lines.join("\n")).problems().to_string();
    assert!(said.contains("is given twice") && !said.contains("is not a key"), "{said}");
}

#[test]
fn without_a_named_file_the_usual_one_is_read_where_it_is() {
    let env = ENOUGH.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded =
        Config::load(Sources { file: None, env, flags: Vec::new() }).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shown(&loaded.config), shown(&Setup::enough("").config()));
}

#[test]
fn the_defaults_are_right_for_logto_cloud() {
    let Config { token, throttle, cache, listen, log, limits, .. } = Setup::enough("").config();
    assert_eq!(token.resource.as_deref(), Some("https://acme.logto.app/api"));
    assert_eq!(
        (token.url.to_string().as_str(), token.scope.as_str()),
        ("https://acme.logto.app/oidc/token", "all")
    );
    assert_eq!(throttle.envelope.expect("a limit").burst(), 20);
    assert_eq!((cache.size_max, cache.body_max), (64 << 20, 2 << 20));
    assert_eq!(cache.ttl[Class::Static as usize], Duration::from_secs(3600));
    assert_eq!(cache.ttl[Class::Never as usize], Duration::ZERO);
    assert_eq!((listen.data, listen.admin), (vec![Address::Localhost(8480)], Address::Localhost(8481)));
    assert_eq!((log.format, log.requests), (Format::Auto, LogRequests::WritesAndErrors));
    assert_eq!(limits.call_timeout, Duration::from_secs(120));
}

#[test]
fn the_command_line_outranks_the_environment_and_that_the_file() {
    let file = || Setup::enough("retry.attempts_max = 2");
    let env = || file().env(&[("LOGTO_GATEWAY_RETRY__ATTEMPTS_MAX", "4")]);
    assert_eq!(Setup::enough("").config().retry.attempts_max, 3);
    assert_eq!(file().config().retry.attempts_max, 2);
    assert_eq!(env().config().retry.attempts_max, 4);
    assert_eq!(env().flag("retry.attempts_max", "5").config().retry.attempts_max, 5);
}

#[test]
fn a_variable_says_anything_that_the_file_can_say() {
    let config = Setup::enough("")
        .env(&[
            ("LOGTO_GATEWAY_BUDGET__LIMIT", "off"),
            ("LOGTO_GATEWAY_BUDGET__SHARE", "0.5"),
            ("LOGTO_GATEWAY_CACHE__TTL__RBAC", "500ms"),
            ("LOGTO_GATEWAY_DOOR__HOSTS", "GW.example, gw.internal"),
            ("LOGTO_GATEWAY_LISTEN__DATA", "unix:/run/gw.sock,127.0.0.1:0,[::1]:0"),
            ("LOGTO_GATEWAY_LISTEN__THREADS", "2"),
        ])
        .config();
    assert_eq!(config.throttle.envelope, None);
    assert_eq!(config.cache.ttl[Class::Rbac as usize], Duration::from_millis(500));
    assert_eq!(config.guard.hosts, ["gw.example", "gw.internal"]);
    assert_eq!(config.listen.data.len(), 3);
    assert_eq!(config.listen.threads, 2);
}

#[test]
fn a_files_sections_may_be_written_in_any_way_that_toml_knows() {
    for file in ["cache.ttl.user = \"1m\"", "[cache]\nttl = { user = \"1m\" }", "[cache.ttl]\nuser = \"1m\""]
    {
        assert_eq!(Setup::enough(file).config().cache.ttl[Class::User as usize], Duration::from_secs(60));
    }
}

#[test]
fn port_0_is_a_new_one_each_time_so_it_never_collides() {
    Setup::enough("[listen]\ndata = \"localhost:0\"\nadmin = \"localhost:0\"\nhealth = \"127.0.0.1:0\"")
        .config();
}

#[test]
fn health_alone_may_be_shown_to_other_machines() {
    for written in ["0.0.0.0:8482", "[::]:8482", "10.0.0.7:8480"] {
        let config = Setup::enough("").flag("listen.health", written).config();
        assert_eq!(config.listen.health, Some(Address::Tcp(written.parse().unwrap())));
    }
}

#[test]
fn the_resource_follows_from_the_endpoint() {
    for (endpoint, resource, warnings) in [
        ("https://acme.logto.app", "https://acme.logto.app/api", 0),
        ("https://ACME.us.logto.app/", "https://acme.logto.app/api", 0),
        ("http://localhost:3001", "https://default.logto.app/api", 0),
        ("http://[::1]:3001", "https://default.logto.app/api", 0),
        ("https://logto.internal", "https://default.logto.app/api", 0),
        ("https://10.0.0.7", "https://default.logto.app/api", 0),
        ("https://auth.acme.com", "https://default.logto.app/api", 1),
        ("http://logto:3001", "https://default.logto.app/api", 1),
    ] {
        let loaded = Setup::file("").env(&ENOUGH[1..]).env(&[("LOGTO_ENDPOINT", endpoint)]).loaded();
        assert_eq!(loaded.config.token.resource.as_deref(), Some(resource), "{endpoint}");
        assert_eq!(loaded.warnings.len(), warnings, "{endpoint}: {:?}", loaded.warnings);
    }
    let own = Setup::file("upstream.resource = \"https://acme.logto.app/api\"").env(&ENOUGH[1..]);
    let loaded = own.env(&[("LOGTO_ENDPOINT", "https://auth.acme.com")]).loaded();
    assert_eq!(
        (loaded.config.token.resource.as_deref(), loaded.warnings.len()),
        (Some("https://acme.logto.app/api"), 0)
    );
}

#[test]
fn kubernetes_own_variables_are_ignored_with_one_warning() {
    let injected = [("LOGTO_GATEWAY_PORT", "tcp://10.0.0.1:80"), ("LOGTO_GATEWAY_SERVICE_HOST", "10.0.0.1")];
    let warnings = Setup::enough("").env(&injected).loaded().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("ignored: LOGTO_GATEWAY_PORT, LOGTO_GATEWAY_SERVICE_HOST"),
        "{warnings:?}"
    );
}

#[test]
fn a_proxy_is_taken_from_the_usual_variables() {
    for (name, found) in
        [("HTTPS_PROXY", true), ("https_proxy", true), ("ALL_PROXY", true), ("FTP_PROXY", false)]
    {
        let config = Setup::enough("").env(&[(name, "http://p:3128"), ("no_proxy", "x")]).config();
        assert_eq!(config.connect.https_proxy.is_some(), found, "{name}");
        assert_eq!(config.connect.no_proxy.as_deref(), Some("x"));
    }
}

#[test]
fn a_catalogue_is_read_as_text() {
    let setup = Setup::enough("");
    let path = setup.write("routes.toml", "# routes").display().to_string();
    assert_eq!(setup.flag("cache.routes", &path).config().catalogue.as_deref(), Some("# routes"));
}

/// Everything but the secret.
fn shown(config: &Config) -> String {
    let Config {
        upstream,
        connect,
        api,
        token,
        throttle,
        cache,
        catalogue,
        retry,
        guard,
        limits,
        listen,
        log,
    } = config;
    let mut text =
        format!("{:?} {:?} {api:?} {throttle:?} {cache:?}", upstream.origin, upstream.response_timeout);
    let _ = write!(text, "{catalogue:?} {retry:?} {guard:?} {limits:?} {listen:?} {log:?}");
    let _ = write!(text, "{:?} {:?}", connect.connect_timeout, connect.extra_roots_pem);
    let _ = write!(
        text,
        "{} {} {:?} {} {:?}",
        token.url, token.app_id, token.resource, token.scope, token.timeout
    );
    text
}
