//! `simulate`: be a Logto to test against, on a port of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;

use super::run::Signals;
use super::{FAULT, block_on, complain, say};
use crate::simulator::{Limiter, Model, Settings, Simulator};

#[derive(clap::Args)]
pub(super) struct Options {
    /// Port on 127.0.0.1; 0 for a free one
    #[arg(long, default_value_t = 3001)]
    port: u16,
    /// Requests per 10 s; 0 for none, as in Logto OSS
    #[arg(long, default_value_t = 200, value_name = "REQUESTS")]
    limit: usize,
    /// How they are counted: sliding-window, token-bucket, fixed-window,
    /// weighted-two-window or first-request-window
    #[arg(long, value_enum, default_value = "sliding-window", value_name = "NAME")]
    #[arg(verbatim_doc_comment, hide_possible_values = true)]
    limiter: Counting,
    /// How long every answer takes, in milliseconds
    #[arg(long, default_value_t = 20, value_name = "MS")]
    latency: u64,
    /// How long tokens live, in seconds
    #[arg(long, default_value_t = 3600, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    token_lifetime: u64,
    /// Users at the start
    #[arg(long, default_value_t = 57)]
    users: usize,
}

/// The simulator's models, by name.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Counting {
    SlidingWindow,
    TokenBucket,
    FixedWindow,
    WeightedTwoWindow,
    FirstRequestWindow,
}

impl Counting {
    fn model(self) -> Model {
        match self {
            Self::SlidingWindow => Model::SlidingWindow,
            Self::TokenBucket => Model::TokenBucket,
            Self::FixedWindow => Model::FixedWindow { phase: Duration::ZERO },
            Self::WeightedTwoWindow => Model::WeightedTwoWindow,
            Self::FirstRequestWindow => Model::FirstRequestWindow,
        }
    }
}

pub(super) fn simulate(options: &Options) -> ExitCode {
    block_on(1, serve(options))
}

async fn serve(options: &Options) -> ExitCode {
    let listener = match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port))).await {
        Ok(listener) => listener,
        Err(error) => {
            complain(&format!("cannot listen on 127.0.0.1:{}: {error}; try another --port", options.port));
            return ExitCode::from(FAULT);
        }
    };
    let port = listener.local_addr().map_or(options.port, |a| a.port());
    let settings = settings(options, port);
    introduce(port, &settings);
    let mut signals = Signals::listen();
    let simulator = Simulator::new(settings);
    tokio::select! {
        () = simulator.serve(listener) => {}
        _ = signals.next() => {}
    }
    ExitCode::SUCCESS
}

fn settings(options: &Options, port: u16) -> Settings {
    let model = options.limiter.model();
    Settings {
        endpoint: format!("http://localhost:{port}"),
        limiter: (options.limit > 0).then(|| Limiter { limit: options.limit, model, ..Limiter::default() }),
        latency: Duration::from_millis(options.latency),
        token_lifetime: Duration::from_secs(options.token_lifetime),
        seed_users: options.users,
        ..Settings::default()
    }
}

fn introduce(port: u16, settings: &Settings) {
    say(&format!("A simulated Logto on http://localhost:{port}. In another terminal:\n"));
    say(&format!("  export LOGTO_ENDPOINT=http://localhost:{port} LOGTO_APP_ID={}", settings.app_id));
    say(&format!("  export LOGTO_APP_SECRET={}", settings.app_secret));
    say("  logto-gateway\n");
    say("What it received:  curl http://localhost:PORT/simulator/requests"
        .replace("PORT", &port.to_string())
        .as_str());
    say(&format!(
        "Make it fail:      curl -X POST http://localhost:{port}/simulator/faults \
         -H 'content-type: application/json' -d '{{\"kind\": \"status\", \"status\": 503}}'"
    ));
}
