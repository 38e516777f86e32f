//! Who waits for an answer: how many, in which class, until when. A flight's audience grows and shrinks while it waits.

use tokio::sync::watch;
use tokio::time::Instant;

use crate::caller::Class;

/// Those who wait for one call.
#[derive(Debug)]
pub struct Audience(watch::Sender<Standing>);

/// What they amount to together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many there are.
    pub size: usize,
    /// The best class that any of them had.
    pub class: Class,
    /// The latest deadline that any of them had.
    pub latest: Instant,
    /// The call is on its way: nobody's leaving ends it any more.
    pub sent: bool,
}

impl Audience {
    /// One caller.
    pub fn of_one(class: Class, deadline: Instant) -> Self {
        Self(watch::Sender::new(Standing { size: 1, class, latest: deadline, sent: false }))
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        *self.0.borrow()
    }

    /// To be told of changes; the first one is how it stands now, so that none slips by before the watch begins.
    pub fn watch(&self) -> watch::Receiver<Standing> {
        let mut watch = self.0.subscribe();
        watch.mark_changed();
        watch
    }

    /// One more; `false` if all had left before it was sent, so that nothing will come of it.
    pub fn join(&self, class: Class, deadline: Instant) -> bool {
        let mut joined = false;
        self.0.send_if_modified(|standing| {
            joined = standing.size > 0 || standing.sent;
            if joined {
                standing.size += 1;
                standing.class = standing.class.min(class);
                standing.latest = standing.latest.max(deadline);
            }
            joined
        });
        joined
    }

    /// One less; `true` for the last one.
    pub fn leave(&self) -> bool {
        self.0.send_modify(|standing| standing.size = standing.size.saturating_sub(1));
        self.standing().size == 0
    }

    /// The call goes out.
    pub fn mark_sent(&self) {
        self.0.send_modify(|standing| standing.sent = true);
    }

    /// Returns when all have left.
    pub async fn left(&self) {
        // The sender lives as long as `self`: it cannot be closed.
        let _ = self.0.subscribe().wait_for(|standing| standing.size == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_begins_with_how_it_stands_so_that_nobody_slips_by_before_it() {
        #[expect(clippy::disallowed_methods, reason = "a test starts the clock")]
        let soon = Instant::now() + Duration::from_secs(1);
        let audience = Audience::of_one(Class::Batch, soon);
        assert!(audience.join(Class::Interactive, soon + Duration::from_secs(1)));
        let mut watch = audience.watch();
        assert!(watch.has_changed().expect("the audience is there"));
        let standing = *watch.borrow_and_update();
        assert_eq!((standing.class, standing.latest), (Class::Interactive, soon + Duration::from_secs(1)));
        assert!(!watch.has_changed().expect("the audience is there"));
    }
}
