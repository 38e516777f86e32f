//! The gateway from outside: promises to its users, one a test.

mod admin;
mod floors;
mod harness;
mod heads;
mod leaving;
mod limits;
mod sockets;
mod tokens;
mod way;
mod wire;
