//! The keys of `[cache]`: what is kept, how much of it, and for how long.

use std::time::Duration;

use super::parse::{GIB, duration, file_text, off_or, size};
use super::reader::Reader;
use crate::cache;
use crate::catalog::Class;

/// `[cache]`: the store, and a catalogue of routes in the place of the built-in one.
pub(super) fn cache(r: &mut Reader) -> (cache::Settings, Option<String>) {
    let size_max: Option<u64> = r
        .key("cache.size_max", "Bytes of all stored answers together, or \"off\"")
        .or("64MiB", off_or(size(1..=1024 * GIB)));
    let body_max = r
        .key("cache.body_max", "The largest body that is stored; larger ones are passed on")
        .or("2MiB", size(1..=GIB));
    let routes = r
        .key("cache.routes", "A catalogue of routes that replaces the built-in one")
        .optional("config/logto-routes.toml", file_text);
    let ttl = Class::ALL.map(|class| ttl(r, class));
    (cache::Settings { size_max: size_max.unwrap_or(0), body_max, ttl }, routes)
}

fn ttl(r: &mut Reader, class: Class) -> Duration {
    let meaning = match class {
        Class::Rbac => "How long answers stay good about roles, permissions, organizations, applications",
        Class::Config => "About the tenant's configuration, which few change",
        Class::User => "About users: their sign-ins change them behind our back",
        Class::Short => "About what the clock changes: dashboards, counts, invitations",
        Class::Static => "About what only a release of Logto changes",
        Class::Anonymous => "About public things, which need no token",
        Class::Never => return Duration::ZERO,
    };
    let key = format!("cache.ttl.{}", class.name());
    r.key(&key, meaning).or(written(class.default_ttl()).as_str(), duration)
}

/// A duration in its largest whole unit.
fn written(length: impl Into<Option<Duration>>) -> String {
    let seconds = length.into().unwrap_or_default().as_secs();
    [(3600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or(format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
