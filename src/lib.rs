//! A rate-limited, caching, authorising reverse proxy for the Logto Management API.

pub mod caller;
pub mod connect;
pub mod metrics;
pub mod rejection;
pub mod reply;
pub mod secret;
pub mod token;
