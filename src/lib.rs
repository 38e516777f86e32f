//! A rate-limited, caching, authorising reverse proxy for the Logto Management API.

pub mod cache;
pub mod call;
pub mod caller;
pub mod catalog;
pub mod config;
pub mod connect;
pub mod guard;
pub mod listener;
pub mod metrics;
pub mod observe;
pub mod rejection;
pub mod reply;
pub mod retry;
pub mod secret;
pub mod throttle;
pub mod token;
pub mod upstream;
