//! The gateway from outside: promises to its users, one a test.

mod harness;
mod way;
