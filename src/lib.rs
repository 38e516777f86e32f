//! A rate-limited, caching, authorising reverse proxy for the Logto Management API.

pub mod simulator;
