//! The way of a request, from its head to its answer: read this first.
//!
//! `handle` is the front door, `answer` decides who asks for what and whether the answer is known already, `fetch` makes
//! as many attempts as the rule grants, `attempt` makes one: permit, token, send, learn.

#![expect(clippy::disallowed_methods, reason = "the way is where time is read and told to those that decide")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use crate::cache::{Cache, Departure, Entry, Lookup};
use crate::call::{Call, Intake};
use crate::catalog::Catalog;
use crate::guard::Guard;
use crate::link;
use crate::metrics::{AttemptKind, Metrics};
use crate::observe::{Exchange, Observer, OutBody};
use crate::rejection::Rejection;
use crate::reply::{Body, Failure, Outcome, Reply};
use crate::retry::Retry;
use crate::target::Target;
use crate::throttle::{Permit, Throttle};
use crate::token::{Token, Tokens};
use crate::upstream::Upstream;

/// The rooms that a request passes.
pub struct Gateway {
    /// What is known of Logto's routes.
    pub catalog: Arc<Catalog>,
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

impl Gateway {
    /// The front door. Every request leaves as one response, one log line, one observation.
    pub async fn handle<B>(self: Arc<Self>, request: Request<B>) -> Response<OutBody>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut exchange = self.observer.begin(request.method(), request.uri(), request.headers());
        let answer = AssertUnwindSafe(self.answer(&mut exchange, request)).catch_unwind().await;
        exchange.end(answer.unwrap_or(Err(Rejection::Internal)))
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
        let (head, body) = request.into_parts();
        self.guard.check_origin(&head)?;
        let target = Target::parse(&head.method, &head.uri, &head.headers, &self.catalog)?;
        let caller = self.guard.admit(&head, &target)?;
        exchange.learned(&caller, &target);
        let (id, arrived) = (exchange.request_id().clone(), exchange.started());
        let call = Arc::new(self.intake.read(caller, target, head, body, id, arrived).await?);
        let reply = match self.cache.lookup(&call, Instant::now()) {
            Lookup::Fresh(entry) => entry.stored_reply(Instant::now()),
            Lookup::Stale(entry) => self.fly(&call, Some(entry)).await?,
            Lookup::Miss => self.fly(&call, None).await?,
            Lookup::Bypass(why) => Arc::clone(self).fetch(Arc::clone(&call), None).await?.because(why),
            Lookup::OnlyIfCached => return Err(Rejection::NotStored),
        };
        Ok(self.delivered(reply, &call))
    }

    /// Many callers, one fetch.
    async fn fly(self: &Arc<Self>, call: &Arc<Call>, known: Option<Arc<Entry>>) -> Result<Reply, Rejection> {
        let fetch = || Arc::clone(self).fetch(Arc::clone(call), known);
        match self.cache.fly(call, fetch).await? {
            Some(reply) => Ok(reply),
            None => Arc::clone(self).fetch(Arc::clone(call), None).await,
        }
    }

    /// As many attempts as the rule and the deadline grant.
    async fn fetch(self: Arc<Self>, call: Arc<Call>, known: Option<Arc<Entry>>) -> Result<Reply, Rejection> {
        let mut before: Option<Outcome> = None;
        for attempt in 1.. {
            let outcome = match (self.attempt(attempt, &call, known.clone()).await, before.take()) {
                (Ok(outcome), _) => outcome,
                // Better the answer of the attempt before than the news that there was no time for another one.
                (Err(no), Some(outcome)) if no.is_about_waiting() => return self.concluded(outcome),
                (Err(no), _) => return Err(no),
            };
            match self.retry.pause_after(attempt, &call, &outcome) {
                Some(pause) if Instant::now() + pause < call.deadline => sleep(pause).await,
                _ => return self.concluded(outcome),
            }
            before = Some(outcome);
        }
        Err(Rejection::Internal)
    }

    /// One attempt. Up to the moment of sending it belongs to whoever waits for it, and ends when they leave; from then
    /// on it is finished, and learned from, though nobody may be there any more.
    async fn attempt(
        self: &Arc<Self>,
        number: u32,
        call: &Arc<Call>,
        known: Option<Arc<Entry>>,
    ) -> Result<Outcome, Rejection> {
        let (permit, token) = tokio::select! {
            biased;
            () = call.abandoned.cancelled() => return Err(Rejection::Abandoned),
            cleared = timeout_at(call.deadline, self.clearance(call)) => cleared.unwrap_or(Err(Rejection::DeadlinePassed))?,
        };
        let departure = self.cache.depart(call, known, Instant::now());
        let kind = match (number, departure.validator()) {
            (1, None) => AttemptKind::Call,
            (1, Some(_)) => AttemptKind::Revalidate,
            _ => AttemptKind::Retry,
        };
        let sending = Arc::clone(self).send(kind, Arc::clone(call), departure, permit, token);
        self.tasks.spawn(sending).await.map_err(|_panic| Rejection::Internal)
    }

    /// A permit and a token. The token is made sure of first, so that nobody holds a permit only to wait for it, and
    /// taken last, so that it is a good one however long the line was.
    async fn clearance(&self, call: &Call) -> Result<(Permit, Token), Rejection> {
        loop {
            self.tokens.current().await?;
            let permit = self.throttle.permit(call).await?;
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
    ) -> Outcome {
        permit.spend();
        self.metrics.spent(&call.caller.name, kind);
        let sent = Instant::now();
        let outcome = self.upstream.send(&call, &token.authorization, departure.validator()).await;
        self.metrics.attempted(kind, outcome.status().map(|s| s.as_u16()), sent.elapsed());
        let outcome = match self.cache.holds(&call) {
            Some(max) => outcome.hold(max).await,
            None => outcome,
        };
        self.throttle.learn(&permit, &outcome);
        self.tokens.learn(&token, &outcome);
        self.cache.learn(&call, departure, outcome, Instant::now())
    }

    /// The last attempt's outcome, as the client gets it.
    fn concluded(&self, outcome: Outcome) -> Result<Reply, Rejection> {
        let throttled = outcome.throttled().is_some();
        let mut reply = match outcome {
            Outcome::Answered(reply) => reply,
            Outcome::Failed(failure) => return Err(rejection(failure)),
        };
        if let (true, None, Some(left)) = (throttled, reply.retry_after(), self.throttle.frozen_for()) {
            reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
        }
        Ok(reply)
    }

    /// What every answer to this client has in common, wherever it came from.
    fn delivered(&self, mut reply: Reply, call: &Call) -> Reply {
        let view =
            link::View { upstream: &self.upstream_authority, base: &call.base, asked: &call.target.raw };
        link::mend(&mut reply.headers, &view);
        if reply.status == StatusCode::OK
            && !call.target.is_write()
            && holds_already(&call.headers, &reply.headers)
        {
            return not_modified(reply);
        }
        if let (&Method::HEAD, Body::Held(body)) = (&call.target.method, &reply.body) {
            if !body.is_empty() {
                reply.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            }
            reply.body = Body::Held(Bytes::new());
        }
        reply
    }
}

/// Whether the client's `If-None-Match` names this answer (RFC 9110 §13.1.2: weak comparison).
fn holds_already(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(etag) = answer.get(header::ETAG).map(|tag| opaque(tag.as_bytes())) else { return false };
    request.get_all(header::IF_NONE_MATCH).iter().any(|list| {
        list.as_bytes()
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || opaque(tag) == etag)
    })
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// RFC 9110 §15.4.5.
fn not_modified(mut reply: Reply) -> Reply {
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        reply.headers.remove(name);
    }
    Reply { status: StatusCode::NOT_MODIFIED, body: Body::Held(Bytes::new()), ..reply }
}

fn rejection(failure: Failure) -> Rejection {
    match failure {
        Failure::NotConnected(error) => {
            Rejection::Unreachable { proxy_error: error.proxy_error(), cause: error.to_string() }
        }
        Failure::NotSent => Rejection::Unreachable {
            proxy_error: "connection_terminated",
            cause: "the connection closed before the request was sent".to_owned(),
        },
        Failure::Broken => Rejection::Broken,
        Failure::BadReply => Rejection::BadReply,
        Failure::TimedOut(patience) => Rejection::UpstreamTimeout(patience),
    }
}
