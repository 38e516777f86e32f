//! Every key with its default and what it is for, as a file: what `config/gateway.toml` is.

use std::fmt::Write;

use super::Config;
use super::reader::{Key, Reader, Written};
use super::value::Value;

const HEAD: &str = "\
# Every setting of logto-gateway with its default; keys without one stand behind a #, as examples.
# Above this file: environment variables (LOGTO_ENDPOINT, LOGTO_APP_ID, LOGTO_APP_SECRET,
# and LOGTO_GATEWAY_<SECTION>__<KEY> for any other key), and above these the command line.
# Durations: \"500ms\", \"10s\", \"1m\", \"1h\". Sizes: \"16KiB\", \"64MiB\", \"1MB\".
# Relative paths start at the working directory.
";

/// Written from the same declarations by which settings are read.
pub fn reference() -> String {
    let mut reader = Reader::without_sources();
    let _ = Config::read(&mut reader);
    let mut text = HEAD.to_owned();
    for section in sections(reader.keys()) {
        let _ = write!(text, "\n[{section}]\n"); // writing to a String cannot fail
        for key in reader.keys().iter().filter(|key| key.section() == section) {
            text.push_str(&lines(key));
        }
    }
    text
}

/// In the order in which they are first read.
fn sections(keys: &[Key]) -> Vec<&str> {
    let mut sections = Vec::new();
    for key in keys {
        if !sections.contains(&key.section()) {
            sections.push(key.section());
        }
    }
    sections
}

fn lines(key: &Key) -> String {
    let (meaning, name) = (key.meaning, key.name());
    match &key.written {
        Written::Default(value) => format!("# {meaning}.\n{name} = {value}\n"),
        Written::Example(value) => format!("# {meaning}.\n#{name} = {value}\n"),
        Written::Secret => format!("# {meaning}.\n#{name} = {}\n", Value::from("…")),
    }
}
