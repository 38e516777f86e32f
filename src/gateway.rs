//! The way of a request, from its head to its answer: read this first.
//!
//! `handle` is the front door, `answer` decides who asks for what and whether the answer is known already, `fetch` makes
//! as many attempts as the rule grants, `attempt` makes one: permit, token, send, learn.

#![expect(clippy::disallowed_methods, reason = "the way is where time is read and told to those that decide")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use crate::audience::Audience;
use crate::cache::{Cache, Departure, Lookup, Purpose};
use crate::call::{Call, Intake};
use crate::catalog::Catalog;
use crate::delivery;
use crate::guard::Guard;
use crate::metrics::{AttemptKind, Metrics};
use crate::observe::{Exchange, Observer, OutBody};
use crate::rejection::Rejection;
use crate::reply::{Outcome, Reply, Timing};
use crate::retry::Retry;
use crate::target::Target;
use crate::throttle::{Permit, Throttle};
use crate::token::{Token, Tokens};
use crate::upstream::Upstream;

/// The rooms that a request passes.
pub struct Gateway {
    /// What is known of Logto's routes.
    pub catalog: Arc<Catalog>,
    /// Places for requests in the house; whoever finds none is refused.
    pub places: Semaphore,
    /// Leaves the traces.
    pub observer: Arc<Observer>,
    /// Lets in.
    pub guard: Guard,
    /// Reads requests.
    pub intake: Intake,
    /// Knows answers.
    pub cache: Cache,
    /// Grants further attempts.
    pub retry: Retry,
    /// Keeps the line.
    pub throttle: Throttle,
    /// Has the token.
    pub tokens: Tokens,
    /// Sends.
    pub upstream: Upstream,
    /// `host[:port]` of the upstream, whose links are mended.
    pub upstream_authority: String,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Owns what must be finished though its client is gone; the drain waits for it.
    pub tasks: TaskTracker,
}

/// What is to be fetched, for whom, and what for.
struct Errand {
    call: Arc<Call>,
    audience: Arc<Audience>,
    purpose: Purpose,
}

/// When to come back if there was no token in time, or no turn.
const COME_BACK: Duration = Duration::from_secs(1);

impl Gateway {
    /// The front door. Every request leaves as one response, one log line, one observation.
    pub async fn handle<B>(self: Arc<Self>, request: Request<B>) -> Response<OutBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut exchange = self.observer.begin(request.method(), request.uri(), request.headers());
        let answer = AssertUnwindSafe(self.answer(&mut exchange, request)).catch_unwind().await;
        exchange.end(answer.unwrap_or(Err(Rejection::Internal)), || self.throttle.quota())
    }

    /// Who asks, what for, and is the answer known already?
    async fn answer<B>(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        request: Request<B>,
    ) -> Result<Reply, Rejection>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _place = self.places.try_acquire().map_err(|_| Rejection::Crowded)?;
        let (head, body) = request.into_parts();
        self.guard.check_origin(&head)?;
        let target = Target::parse(&head.method, &head.uri, &head.headers, &self.catalog)?;
        exchange.aims_at(&target);
        let caller = self.guard.admit(&head, &target)?;
        exchange.comes_from(&caller);
        let (id, arrived) = (exchange.request_id().clone(), exchange.started());
        let call = Arc::new(self.intake.read(caller, target, head, body, id, arrived).await?);
        let now = Instant::now();
        // What goes to Logto is boxed: an idle connection should not keep room for it.
        let reply = match self.cache.lookup(&call, now) {
            Lookup::Fresh(entry) => entry.stored_reply(now),
            Lookup::Stale(entry) => Box::pin(self.fly(&call, Purpose::Confirm(entry))).await?,
            Lookup::Miss => Box::pin(self.fly(&call, Purpose::Fill)).await?,
            Lookup::Bypass(why) => Box::pin(self.fetch_alone(&call)).await?.because(why),
            Lookup::OnlyIfCached => return Err(Rejection::NotStored),
        };
        Ok(delivery::finished(reply, &call, &self.upstream_authority))
    }

    /// Many callers, one fetch.
    async fn fly(self: &Arc<Self>, call: &Arc<Call>, purpose: Purpose) -> Result<Reply, Rejection> {
        let fetch = |audience| {
            let errand = Errand { call: Arc::clone(call), audience, purpose };
            Arc::clone(self).fetch(errand)
        };
        match self.cache.fly(call, fetch).await? {
            Some(reply) => Ok(reply),
            None => self.fetch_alone(call).await,
        }
    }

    async fn fetch_alone(self: &Arc<Self>, call: &Arc<Call>) -> Result<Reply, Rejection> {
        let audience = Arc::new(Audience::of_one(call.class, call.deadline));
        let errand =
            Errand { call: Arc::clone(call), audience: Arc::clone(&audience), purpose: Purpose::Pass };
        match timeout_at(call.deadline, Arc::clone(self).fetch(errand)).await {
            Ok(answer) => answer,
            Err(_elapsed) if audience.standing().sent => Err(Rejection::DeadlinePassed),
            Err(_elapsed) => Err(Rejection::WaitTooLong(COME_BACK)),
        }
    }

    /// As many attempts as the rule and the deadline grant.
    async fn fetch(self: Arc<Self>, errand: Errand) -> Result<Reply, Rejection> {
        let mut timing = Timing::default();
        let mut before: Option<Outcome> = None;
        let mut attempt = 1;
        loop {
            let outcome = match (self.attempt(attempt, &errand, &mut timing).await, before.take()) {
                (Ok(outcome), _) => outcome,
                // Better the answer of the attempt before than the news that there was no time for another one.
                (Err(no), Some(outcome)) if no.is_about_waiting() && !self.retry.blames_token(&outcome) => {
                    return self.concluded(outcome, timing);
                }
                (Err(no), _) => return Err(no),
            };
            let (frozen, latest) = (self.throttle.frozen_for().is_some(), errand.audience.standing().latest);
            match self.retry.pause_after(attempt, &errand.call, &outcome, frozen) {
                Some(pause) if Instant::now() + pause < latest => sleep(pause).await,
                _ => return self.concluded(outcome, timing),
            }
            before = Some(outcome);
            attempt += 1;
        }
    }

    /// One attempt. Up to the moment of sending it belongs to whoever waits for it, and ends when they leave; from then
    /// on it is finished, and learned from, though nobody may be there any more.
    async fn attempt(
        self: &Arc<Self>,
        number: u32,
        errand: &Errand,
        timing: &mut Timing,
    ) -> Result<Outcome, Rejection> {
        let Errand { call, audience, purpose } = errand;
        let (permit, token) = tokio::select! {
            biased;
            () = audience.left() => return Err(Rejection::Abandoned),
            cleared = self.clearance(errand, timing) => cleared?,
        };
        audience.mark_sent();
        let departure = self.cache.depart(call, purpose.clone(), Instant::now());
        let kind = match (number, departure.validator()) {
            (1, None) => AttemptKind::Call,
            (1, Some(_)) => AttemptKind::Revalidate,
            _ => AttemptKind::Retry,
        };
        // Callers keep their own deadlines; what was sent is finished and learned from though they have passed.
        let (sent, deadline) = (Instant::now(), audience.standing().latest.max(call.timeout));
        let sending = Arc::clone(self).send(kind, Arc::clone(call), departure, permit, token, deadline);
        let outcome = self.tasks.spawn(Arc::clone(self).finished(Arc::clone(call), sending)).await;
        timing.upstream += sent.elapsed();
        outcome.unwrap_or(Err(Rejection::Internal))
    }

    /// A panic on the way leaves behind what an unknown outcome does, though nobody may wait for it any more.
    async fn finished(
        self: Arc<Self>,
        call: Arc<Call>,
        sending: impl Future<Output = Outcome> + Send,
    ) -> Result<Outcome, Rejection> {
        AssertUnwindSafe(sending).catch_unwind().await.map_err(|_panic| {
            self.cache.lost(&call, Instant::now());
            Rejection::Internal
        })
    }

    /// A permit and a token. The token is made sure of first, so that nobody holds a permit only to wait for it, and
    /// taken last, so that it is a good one however long the line was.
    async fn clearance(&self, errand: &Errand, timing: &mut Timing) -> Result<(Permit, Token), Rejection> {
        loop {
            let asked = Instant::now();
            let until = self.throttle.latest(&errand.audience);
            let token = timeout_at(until, self.tokens.current()).await;
            token.unwrap_or(Err(Rejection::WaitTooLong(COME_BACK)))?;
            timing.token += asked.elapsed();
            let queued = Instant::now();
            let permit = self.throttle.permit(&errand.call, &errand.audience).await?;
            timing.queue += queued.elapsed();
            if let Some(token) = self.tokens.at_hand() {
                return Ok((permit, token));
            }
        }
    }

    async fn send(
        self: Arc<Self>,
        kind: AttemptKind,
        call: Arc<Call>,
        departure: Departure,
        mut permit: Permit,
        token: Token,
        deadline: Instant,
    ) -> Outcome {
        permit.spend();
        self.metrics.spent(&call.caller.name, kind);
        let sent = Instant::now();
        let outcome = self.upstream.send(&call, &token.authorization, departure.validator(), deadline).await;
        self.metrics.attempted(kind, outcome.status().map(|s| s.as_u16()), sent.elapsed());
        let outcome = match self.cache.holds(&departure) {
            Some(max) => outcome.hold(max).await,
            None => outcome,
        };
        self.throttle.learn(&mut permit, &outcome);
        self.tokens.learn(&token, &outcome);
        self.cache.learn(&call, departure, outcome, Instant::now())
    }

    /// The last attempt's outcome, as the client gets it.
    fn concluded(&self, outcome: Outcome, timing: Timing) -> Result<Reply, Rejection> {
        let throttled = outcome.throttled().is_some();
        let mut reply = match outcome {
            Outcome::Answered(reply) => reply,
            Outcome::Failed(failure) => return Err(delivery::rejection(failure)),
        };
        reply.timing = Some(timing);
        if let (true, None, Some(left)) = (throttled, reply.retry_after(), self.throttle.frozen_for()) {
            reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
        }
        Ok(reply)
    }
}
