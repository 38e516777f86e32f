//! The gateway from outside: promises to its users, one a test.

mod abandoned;
mod admin;
mod again;
mod budget;
mod check;
mod cli;
mod docs;
mod floors;
mod harness;
mod heads;
mod leaving;
mod limiters;
mod limits;
mod load;
mod pace;
mod process;
mod shares;
mod sockets;
mod stopping;
mod token;
mod tokens;
mod way;
mod wire;
