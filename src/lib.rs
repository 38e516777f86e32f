//! A rate-limited, caching, authorising reverse proxy for the Logto Management API.
//!
//! The way of a request, and the parts it passes; [`gateway`] is the first file to read.
//!
//! ```text
//! client ─▶ listener ─▶ gateway: handle → answer → fetch → attempt
//!               │
//!               ▼
//!           observe ─▶ target ─▶ guard ─▶ call ─▶ cache ──fresh──▶ reply
//!                                         │ stale / miss
//!                                         ▼
//!                                  flight (one per key)
//!                                         ▼
//!                           ┌── retry ◀───────────────┐ again?
//!                           ▼                         │
//!                       throttle ─▶ token ─▶ upstream ┘
//! ```
//!
//! A part imports only from the groups below its own; `tests/it/floors.rs` holds it.

// The way of a request.
pub mod gateway;

// Its stations, in the order in which it passes them. They don't know each other.
pub mod observe;
pub mod guard;
pub mod cache;
pub mod retry;
pub mod throttle;
pub mod token;
pub mod upstream;
pub mod delivery;

// What they speak of.
pub mod call;
pub mod reply;
pub mod link;
pub mod audience;
pub mod streaming;
pub mod caller;
pub mod target;
pub mod connect;
pub mod catalog;
pub mod metrics;
pub mod rejection;
pub mod secret;

// What stands around them.
pub mod app;
pub mod config;
pub mod listener;
pub mod admin;
pub mod simulator;
pub mod cli;
