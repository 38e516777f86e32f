//! Puts the parts together, starts them, and stops them in order.

#![expect(clippy::disallowed_methods, reason = "the rooms are told when they start")]

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, Scope};
use crate::cache::Cache;
use crate::call::Intake;
use crate::catalog::{Catalog, CatalogError};
use crate::config::Config;
use crate::connect::{Connector, TrustError};
use crate::gateway::Gateway;
use crate::guard::Guard;
use crate::listener::{self, BindError, Listener};
use crate::metrics::{AttemptKind, Metrics};
use crate::observe::Observer;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::token::{Pay, Tokens};
use crate::upstream::Upstream;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// `upstream.ca_file` holds no usable certificate.
    #[error("upstream.ca_file: {0}")]
    Trust(#[from] TrustError),
    /// `cache.routes` is no catalogue.
    #[error("cache.routes: {0}")]
    Catalog(#[from] CatalogError),
}

/// A gateway with its addresses bound, ready to serve.
pub struct App {
    gateway: Arc<Gateway>,
    admin: Arc<Admin>,
    listeners: Listeners,
    settings: listener::Settings,
    drain_max: Duration,
}

struct Listeners {
    data: Listener,
    admin: Listener,
    health: Option<Listener>,
}

impl App {
    /// Binds the addresses and starts the rooms; the first token is fetched at once. Needs a tokio runtime.
    pub async fn start(
        config: Config,
        lines_dropped: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let connector = Connector::new(&config.connect, config.upstream.origin.clone())?;
        let listeners = Listeners {
            data: Listener::bind(&config.listen.data).await?,
            admin: Listener::bind(std::slice::from_ref(&config.listen.admin)).await?,
            health: match &config.listen.health {
                Some(address) => Some(Listener::bind(std::slice::from_ref(address)).await?),
                None => None,
            },
        };
        let gateway = assemble(&config, connector)?;
        let guard = Guard::new(config.guard.clone());
        let upstream = config.upstream.origin.to_string();
        let admin = Admin::new(Arc::clone(&gateway), guard, upstream, Instant::now(), lines_dropped);
        let Config { listen, .. } = config;
        Ok(Self { gateway, admin, listeners, settings: listen.settings, drain_max: listen.drain_max })
    }

    /// Where clients call.
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.data.addresses()
    }

    /// Where operators look.
    pub fn admin_addresses(&self) -> Vec<String> {
        self.listeners.admin.addresses()
    }

    /// The rooms.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Serves until `stop`, then drains: unready first, nothing more is accepted, what waits in line is refused, what
    /// is under way is finished, for `drain_max` at most. Returns whether everything was finished.
    pub async fn serve(self, stop: CancellationToken) -> bool {
        let Self { gateway, admin, listeners, settings, drain_max } = self;
        let mut clients = JoinSet::new();
        let mut operators = JoinSet::new();
        let (metrics, way) = (Arc::clone(&gateway.metrics), Arc::clone(&gateway));
        let data = move |request: Request<Incoming>| Arc::clone(&way).handle(request);
        clients.spawn(listeners.data.serve(
            "data",
            settings.clone(),
            Arc::clone(&metrics),
            stop.clone(),
            data,
        ));
        // Operators can watch the drain: their addresses close after everything else.
        let never = CancellationToken::new();
        for (name, scope, listener) in
            [("admin", Scope::Admin, Some(listeners.admin)), ("health", Scope::Health, listeners.health)]
        {
            let Some(listener) = listener else { continue };
            let pages = Arc::clone(&admin);
            let page = move |request: Request<Incoming>| std::future::ready(pages.handle(scope, request));
            operators.spawn(listener.serve(
                name,
                settings.clone(),
                Arc::clone(&metrics),
                never.clone(),
                page,
            ));
        }
        stop.cancelled().await;
        admin.drain();
        gateway.throttle.close();
        let finished = timeout(drain_max, drained(clients, &gateway.tasks)).await.is_ok();
        gateway.tokens.stop();
        operators.shutdown().await;
        finished
    }
}

/// Every client has its answer, and what outlived its client is finished too.
async fn drained(mut clients: JoinSet<()>, tasks: &TaskTracker) {
    while clients.join_next().await.is_some() {}
    tasks.close();
    tasks.wait().await;
}

/// The rooms of a gateway, joined; `connector` leads to Logto, or to a simulated one.
pub fn assemble(config: &Config, connector: Connector) -> Result<Arc<Gateway>, StartError> {
    let catalog = Arc::new(match &config.catalogue {
        Some(text) => Catalog::parse(text)?,
        None => Catalog::logto(),
    });
    let metrics = Arc::new(Metrics::new(catalog.templates().map(str::to_owned).collect()));
    let tasks = TaskTracker::new();
    let throttle = Throttle::start(config.throttle.clone(), Arc::clone(&metrics));
    let pay = pay(throttle.clone(), Arc::clone(&metrics));
    let intake = Intake::new(config.limits.clone());
    let forward = intake.forward_headers().to_vec();
    Ok(Arc::new(Gateway {
        places: Semaphore::new(config.listen.requests_max),
        observer: Observer::new(config.log.requests, Arc::clone(&metrics)),
        guard: Guard::new(config.guard.clone()),
        cache: Cache::new(config.cache.clone(), Arc::clone(&metrics), tasks.clone(), Instant::now()),
        retry: Retry::new(config.retry, config.api),
        tokens: Tokens::start(config.token.clone(), connector.clone(), Arc::clone(&metrics), pay),
        upstream: Upstream::new(&config.upstream, connector, forward),
        upstream_authority: config.upstream.origin.authority(),
        intake,
        throttle,
        catalog,
        metrics,
        tasks,
    }))
}

/// A token fetch is a request like any other to Logto's limiter: it takes a permit, from a lane of its own.
fn pay(throttle: Throttle, metrics: Arc<Metrics>) -> Pay {
    Arc::new(move |attempt| {
        let (throttle, metrics) = (throttle.clone(), Arc::clone(&metrics));
        Box::pin(async move {
            let mut permit = throttle.permit_for_token().await?;
            permit.spend();
            metrics.spent("gateway", AttemptKind::Token);
            let sent = Instant::now();
            let outcome = attempt.await;
            metrics.attempted(AttemptKind::Token, outcome.status().map(|s| s.as_u16()), sent.elapsed());
            throttle.learn(&mut permit, &outcome);
            Ok(outcome)
        })
    })
}
