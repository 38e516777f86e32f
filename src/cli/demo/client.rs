//! The demo's caller: a plain HTTP client that knows nothing of tokens, limits or caches.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// Calls the gateway on one port.
#[derive(Clone, Copy)]
pub(super) struct Client {
    port: u16,
}

/// An answer, whole, and how long it took.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) took: Duration,
}

impl Client {
    pub(super) fn new(port: u16) -> Self {
        Self { port }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        self.call(Method::GET, path, "").await
    }

    #[expect(clippy::disallowed_methods, reason = "how long an answer took is part of the story")]
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let begun = Instant::now();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
        let request =
            Request::builder().method(method).uri(path).header(HOST, format!("localhost:{}", self.port));
        let request = request.header(AUTHORIZATION, "any").header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body, took: begun.elapsed() })
    }
}

impl Answer {
    /// A header's value; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What the cache says of itself.
    pub(super) fn cache_status(&self) -> &str {
        self.header("cache-status").trim_start_matches("logto-gateway; ")
    }

    /// Path and query of the next page.
    pub(super) fn next(&self) -> Option<String> {
        let links = self.headers.get_all("link").iter().filter_map(|link| link.to_str().ok());
        let next = links.into_iter().find(|link| link.ends_with("rel=\"next\""))?;
        let url = next.strip_prefix('<')?.split_once('>')?.0;
        Some(url[url.find("/api")?..].to_owned())
    }

    /// The ids in a list.
    pub(super) fn ids(&self) -> Vec<String> {
        let list: Vec<serde_json::Value> = serde_json::from_slice(&self.body).unwrap_or_default();
        list.iter().filter_map(|row| row.get("id")?.as_str().map(str::to_owned)).collect()
    }
}
