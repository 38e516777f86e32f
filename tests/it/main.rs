//! The gateway from outside: promises to its users, one a test.

mod admin;
mod check;
mod cli;
mod floors;
mod harness;
mod heads;
mod leaving;
mod limits;
mod process;
mod sockets;
mod stopping;
mod tokens;
mod way;
mod wire;
