//! An hour of greedy load before every kind of limiter, as a table: `cargo bench --bench limiters`.
//!
//! Simulated time, so it takes seconds, and says the same each time on every machine.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

#[path = "../tests/it/load/mod.rs"]
mod load;

fn main() {
    println!("{}", load::table::HEAD);
    for row in load::table::rows() {
        println!("{row}");
    }
}
