//! `run`: serve until told to stop.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CONFIG, FAULT, block_on, log};
use crate::app::{App, StartError};
use crate::config::{Config, Loaded};

pub(super) fn run(loaded: Loaded) -> ExitCode {
    let logging = log::start(&loaded.config.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    block_on(loaded.config.listen.threads, serve(loaded.config, logging.lines_dropped()))
}

async fn serve(config: Config, lines_dropped: impl Fn() -> u64 + Send + Sync + 'static) -> ExitCode {
    let told = told(&config);
    let app = match App::start(config, lines_dropped).await {
        Ok(app) => app,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return ExitCode::from(if matches!(error, StartError::Catalog(_)) { CONFIG } else { FAULT });
        }
    };
    let signals = Signals::listen();
    let (listen, admin) = (app.addresses(), app.admin_addresses());
    tracing::info!(
        listen = listen.join(" "),
        admin = admin.join(" "),
        "logto-gateway {} is ready: call {}/api/…, look at {}/status; it {told}",
        env!("CARGO_PKG_VERSION"),
        listen.first().map_or("", String::as_str),
        admin.first().map_or("", String::as_str),
    );
    serve_until_told(app, signals).await
}

/// What the gateway is going to do, in one line.
fn told(config: &Config) -> String {
    let budget = config.throttle.envelope.map_or_else(|| "no limit".to_owned(), |e| e.to_string());
    format!("calls {} at {budget}", config.upstream.origin)
}

/// The first signal drains; a second one ends at once.
pub(super) async fn serve_until_told(app: App, mut signals: Signals) -> ExitCode {
    let stop = CancellationToken::new();
    let serving = app.serve(stop.clone());
    let draining = async {
        let name = signals.next().await;
        tracing::info!("{name}: stopping; what is under way will be finished");
        stop.cancel();
        signals.next().await
    };
    tokio::select! {
        finished = serving => {
            if finished {
                tracing::info!("stopped");
            } else {
                tracing::warn!("stopped before everything was finished (listen.drain_max)");
            }
            ExitCode::SUCCESS
        }
        name = draining => {
            tracing::warn!("{name} again: stopped at once");
            ExitCode::from(FAULT)
        }
    }
}

/// The signals that a service manager, a terminal and a kubelet send.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Reloading comes later; until then this must not end the process.
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> Self {
        let listen = |kind| signal(kind).expect("the runtime has signals enabled");
        Self {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
            hang_up: listen(SignalKind::hangup()),
        }
    }

    /// Waits for one that asks to stop.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => tracing::warn!("SIGHUP: reloading is not supported yet; ignored"),
            }
        }
    }
}
