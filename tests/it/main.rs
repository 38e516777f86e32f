//! The gateway from outside: promises to its users, one a test.

mod floors;
mod harness;
mod tokens;
mod way;
