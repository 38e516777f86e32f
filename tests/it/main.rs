//! The gateway from outside: promises to its users, one a test.

mod docs;
mod harness;
mod leaving;
mod pace;
mod token;
mod way;
