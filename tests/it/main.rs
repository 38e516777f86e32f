//! The gateway from outside: promises to its users, one a test.

mod docs;
mod harness;
mod way;
