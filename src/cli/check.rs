//! `check`: one line a step, what is right, what is wrong, and how to mend it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;

use super::{CONFIG, FAULT, Settings, block_on, complain, say, sources};
use crate::app::{StartError, assemble};
use crate::config::{Config, Loaded};
use crate::connect::Connector;
use crate::gateway::Gateway;

#[derive(clap::Args)]
pub(super) struct Options {
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Tokens are judged by the clock of Logto; ours only has to be near.
const SKEW_MAX: Duration = Duration::from_secs(30);

/// What was found, in the order of the steps.
struct Report {
    json: bool,
    steps: Vec<serde_json::Value>,
    sound: bool,
}

pub(super) fn check(settings: Settings, options: &Options) -> ExitCode {
    let mut report = Report { json: options.json, steps: Vec::new(), sound: true };
    match Config::load(sources(settings)) {
        Ok(Loaded { config, warnings }) => {
            let Config { upstream, token, .. } = &config;
            report.right("config", &format!("Logto at {}, application {}", upstream.origin, token.app_id));
            for warning in warnings {
                report.hint("config", &warning);
            }
            block_on(1, steps(config, report))
        }
        Err(problems) if options.json => {
            let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
            say(&serde_json::json!({ "ok": false, "config": list }).to_string());
            ExitCode::from(CONFIG)
        }
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(CONFIG)
        }
    }
}

async fn steps(config: Config, mut report: Report) -> ExitCode {
    let origin = config.upstream.origin.clone();
    let prepared = Connector::new(&config.connect, origin.clone()).map_err(StartError::from);
    let joined = prepared.and_then(|connector| Ok((connector.clone(), assemble(&config, connector)?)));
    let (connector, gateway) = match joined {
        Ok(joined) => joined,
        Err(error) => {
            report.wrong("config", &error.to_string());
            return report.end();
        }
    };
    if !reaches(&connector, &origin.to_string(), &mut report).await {
        return report.end();
    }
    if has_token(&gateway, &mut report).await {
        answers(&gateway, &mut report).await;
    }
    match config.throttle.envelope {
        Some(envelope) => report.right("budget", &envelope.to_string()),
        None => report.right("budget", "no limit (budget.limit = \"off\")"),
    }
    if config.throttle.envelope.is_some() && !origin.host.ends_with(".logto.app") {
        report.hint(
            "budget",
            "this looks self-hosted, without a limiter in front: --set budget.limit=off removes the brake",
        );
    }
    report.end()
}

/// Name, TCP and TLS.
#[expect(clippy::disallowed_methods, reason = "how long it took is told")]
async fn reaches(connector: &Connector, origin: &str, report: &mut Report) -> bool {
    let begun = Instant::now();
    match connector.connect().await {
        Ok(_) => {
            report.right("connection", &format!("{origin} in {} ms", begun.elapsed().as_millis()));
            true
        }
        Err(error) => {
            report.wrong("connection", &error.to_string());
            false
        }
    }
}

async fn has_token(gateway: &Gateway, report: &mut Report) -> bool {
    match gateway.tokens.current().await {
        Ok(_) => {
            let left = gateway.tokens.status().seconds_left.unwrap_or(0);
            report.right("token", &format!("issued with its scope, good for {} min", left.div_ceil(60)));
            true
        }
        Err(rejection) => {
            report.wrong("token", &rejection.to_string());
            false
        }
    }
}

/// The whole way, with one small read.
async fn answers(gateway: &Arc<Gateway>, report: &mut Report) {
    let request = Request::get("/api/users?page=1&page_size=1").header(HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let (head, body) = Arc::clone(gateway).handle(request).await.into_parts();
    match head.status {
        StatusCode::OK => report.right("api", "GET /api/users answers 200"),
        StatusCode::FORBIDDEN => report.wrong(
            "api",
            "Logto accepts the token but forbids the call: give the M2M application a role with Management API access",
        ),
        status => {
            let text = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            report.wrong("api", &format!("GET /api/users answers {status}: {}", detail(&text)));
        }
    }
    clock(&head.headers, report);
}

/// Logto's own message, or ours; never a whole body.
fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = |key: &str| problem.as_ref()?.get(key)?.as_str().map(str::to_owned);
    said("detail").or_else(|| said("message")).unwrap_or_else(|| "no explanation".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the clock is what is checked here")]
fn clock(headers: &HeaderMap, report: &mut Report) {
    let date = headers.get(DATE).and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok());
    let Some(date) = date else { return };
    let now = SystemTime::now();
    let skew = now.duration_since(date).unwrap_or_else(|ahead| ahead.duration());
    if skew <= SKEW_MAX {
        report.right("clock", &format!("within {} s of Logto's", skew.as_secs() + 1));
    } else {
        report.wrong("clock", &format!("{} s away from Logto's: set this machine's clock", skew.as_secs()));
    }
}

impl Report {
    fn right(&mut self, step: &str, text: &str) {
        self.line('✓', "ok", step, text);
    }

    fn hint(&mut self, step: &str, text: &str) {
        self.line('!', "hint", step, text);
    }

    fn wrong(&mut self, step: &str, text: &str) {
        self.sound = false;
        self.line('✗', "fault", step, text);
    }

    fn line(&mut self, mark: char, verdict: &str, step: &str, text: &str) {
        if self.json {
            self.steps.push(serde_json::json!({ "step": step, "verdict": verdict, "text": text }));
        } else {
            say(&format!("{mark} {step:<10} {text}"));
        }
    }

    fn end(self) -> ExitCode {
        match (self.json, self.sound) {
            (true, ok) => say(&serde_json::json!({ "ok": ok, "steps": self.steps }).to_string()),
            (false, true) => say("All is well: logto-gateway run"),
            (false, false) => say("Mend what is marked with ✗, and check again."),
        }
        ExitCode::from(if self.sound { 0 } else { FAULT })
    }
}
