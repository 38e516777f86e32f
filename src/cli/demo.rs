//! `demo`: a simulated Logto, the gateway before it, and a short story with real requests.

mod client;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;

use self::client::Client;
use super::run::{Signals, serve_until_told};
use super::{FAULT, block_on, complain, log, say};
use crate::app::App;
use crate::config::{Config, Sources};
use crate::listener::{Address, Listener};
use crate::simulator::{Limiter, Settings, Simulator};

/// The ports of a real gateway, if they are free.
const DATA: u16 = 8480;
const ADMIN: u16 = 8481;

pub(super) fn demo() -> ExitCode {
    block_on(1, async {
        match tell().await {
            Ok(code) => code,
            Err(error) => {
                complain(&format!("the demo could not go on: {error}"));
                ExitCode::from(FAULT)
            }
        }
    })
}

async fn tell() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let signals = Signals::listen();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let settings = Settings {
        endpoint: endpoint.clone(),
        limiter: Some(Limiter::default()),
        latency: Duration::from_millis(40),
        ..Settings::default()
    };
    let logto = Simulator::new(settings.clone());
    let config = config(&endpoint, &settings).await?;
    let _logging = log::start(&config.log);
    let app = App::start(config, || 0).await?;
    let data = port(&app.addresses(), DATA);
    let admin = port(&app.admin_addresses(), ADMIN);
    let served = logto.clone();
    tokio::select! {
        () = async move { served.serve(listener).await } => Ok(ExitCode::from(FAULT)),
        code = serve_until_told(app, signals) => Ok(code),
        () = introduce(&endpoint, data, admin, logto) => Ok(ExitCode::from(FAULT)),
    }
}

/// The story, and then nothing more: it never ends by itself.
async fn introduce(endpoint: &str, data: u16, admin: u16, logto: Simulator) {
    say(&format!("A simulated Logto on {endpoint} (200 requests per 10 s), and the gateway before it\n"));
    if let Err(error) = story::tell(&Client::new(data), &logto).await {
        complain(&format!("\nthe story broke off: {error}"));
    }
    say(&format!("\nIt is yours now:\n  curl -i 'http://localhost:{data}/api/users?page_size=5'"));
    say(&format!("  curl -i 'http://localhost:{data}/api/users?page_size=5'          # again: a hit"));
    say(&format!(
        "  curl -i http://localhost:{data}/api/users -H 'Authorization: any' \
         -H 'Content-Type: application/json' -d '{{\"username\":\"ada\"}}'"
    ));
    say(&format!("Status:  http://localhost:{admin}/status\nMetrics: http://localhost:{admin}/metrics"));
    say("Ctrl-C ends it.");
    std::future::pending::<()>().await;
}

async fn config(endpoint: &str, logto: &Settings) -> Result<Config, Box<dyn std::error::Error>> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let sources = Sources {
        // The demo is the same wherever it is started: nobody's settings file has a part in it.
        file: Some(PathBuf::from("/dev/null")),
        env: vec![
            pair("LOGTO_ENDPOINT", endpoint),
            pair("LOGTO_APP_ID", &logto.app_id),
            pair("LOGTO_APP_SECRET", &logto.app_secret),
        ],
        flags: vec![
            pair("listen.data", &address(DATA).await),
            pair("listen.admin", &address(ADMIN).await),
            pair("log.level", "warn"),
            pair("log.format", "human"),
        ],
    };
    Ok(Config::load(sources)?.config)
}

/// The usual port, or a free one, which is said.
async fn address(port: u16) -> String {
    match Listener::bind(&[Address::Localhost(port)]).await {
        Ok(_) => format!("localhost:{port}"),
        Err(error) => {
            say(&format!("({error}: taking a free port instead)"));
            "localhost:0".to_owned()
        }
    }
}

fn port(addresses: &[String], usual: u16) -> u16 {
    addresses.iter().find_map(|a| a.rsplit_once(':')?.1.parse().ok()).unwrap_or(usual)
}
