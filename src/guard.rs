//! Who is let in: no browser's page, no stranger's host name, nobody without the right.

/// What callers may do while nobody is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Reads are free; writes and reads of secrets need an `Authorization` header of any value.
    Guarded,
    /// Everything is free.
    Open,
    /// Nothing is.
    Deny,
}

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What callers may do while nobody is configured.
    pub anonymous: Anonymous,
    /// Host names by which this gateway may be called, beside the loopback's and the listen addresses, lower-case,
    /// without a port.
    pub hosts: Vec<String>,
}
