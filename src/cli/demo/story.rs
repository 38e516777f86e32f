//! The demo's story: five things that the gateway does, each shown with real requests.

use std::error::Error;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::task::JoinSet;

use super::super::say;
use super::client::{Answer, Client};
use crate::simulator::Simulator;

type Told = Result<(), Box<dyn Error + Send + Sync>>;

/// Calls that are made at once in the fourth chapter: three times what may go out at once.
const AT_ONCE: usize = 60;

pub(super) async fn tell(client: &Client, logto: &Simulator) -> Told {
    the_same_read_twice(client).await?;
    let users = all_pages(client).await?;
    a_write(client).await?;
    many_at_once(client, logto, &users).await?;
    a_revoked_token(client, logto).await
}

async fn the_same_read_twice(client: &Client) -> Told {
    say("1. The same read twice: no token, no credentials, the second time from the store");
    for _ in 0..2 {
        show("GET /api/users", &client.get("/api/users").await?);
    }
    Ok(())
}

/// Returns the ids of all users.
async fn all_pages(client: &Client) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    say("\n2. All pages, by following Link: rel=\"next\" to the letter");
    let (mut users, mut next) = (Vec::new(), Some("/api/users".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path).await?;
        show(&format!("GET {path}"), &page);
        users.extend(page.ids());
        next = page.next();
    }
    say(&format!("   {} users", users.len()));
    Ok(users)
}

async fn a_write(client: &Client) -> Told {
    say("\n3. A write drops what it changes, before its own answer arrives");
    let before = client.get("/api/users").await?;
    show(&format!("GET /api/users   Total-Number: {}", before.header("total-number")), &before);
    show("POST /api/users", &client.call(Method::POST, "/api/users", r#"{"username":"newcomer"}"#).await?);
    let after = client.get("/api/users").await?;
    show(&format!("GET /api/users   Total-Number: {}", after.header("total-number")), &after);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long it took is part of the story")]
async fn many_at_once(client: &Client, logto: &Simulator, users: &[String]) -> Told {
    say(&format!("\n4. {AT_ONCE} different calls at once: each waits for its turn, none is refused"));
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let paths = users.iter().flat_map(|id| [format!("/api/users/{id}"), format!("/api/users/{id}/roles")]);
    for path in paths.take(AT_ONCE) {
        let client = *client;
        calls.spawn(async move { client.get(&path).await });
    }
    let mut answered = 0;
    while let Some(answer) = calls.join_next().await {
        answered += usize::from(answer??.status == StatusCode::OK);
    }
    let busiest = logto.busiest_window(Duration::from_secs(10));
    say(&format!("   {answered} × 200 in {:.1} s", begun.elapsed().as_secs_f64()));
    say(&format!(
        "   Logto's busiest 10 s: {busiest} of 200 requests; refused by its limiter: {}",
        logto.throttled()
    ));
    Ok(())
}

async fn a_revoked_token(client: &Client, logto: &Simulator) -> Told {
    say("\n5. Logto revokes every token: the caller doesn't notice");
    let before = logto.token_requests();
    logto.revoke_tokens();
    show("GET /api/roles", &client.get("/api/roles").await?);
    say(&format!("   tokens fetched for it: {}", logto.token_requests() - before));
    Ok(())
}

fn show(what: &str, answer: &Answer) {
    let ms = answer.took.as_secs_f64() * 1000.0;
    say(&format!("   {what:<45} {} {ms:>7.1} ms   {}", answer.status.as_u16(), answer.cache_status()));
}
