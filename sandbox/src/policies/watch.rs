//! Notice that a policy file has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::source::text_of;
use crate::service::Service;

/// A policy file that is looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    changes: Changes,
}

impl Watch {
    /// Watches for changes from now on.
    pub(crate) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), changes: Changes::since(look(path)) }
    }

    /// Applies the file again whenever it changes, for as long as the service is there.
    pub(crate) async fn run(mut self, service: Weak<Service>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(service) = service.upgrade() else { return };
            if self.changes.notice(look(&self.path)) {
                service.reload_policies_and_log();
            }
        }
    }
}

/// What a file has in it; nothing if it cannot be read.
type Content = Option<String>;

/// Tells changes that have settled from those half way: a file that is being written is not read.
#[derive(Debug)]
struct Changes {
    settled: Content,
    seen: Content,
}

impl Changes {
    fn since(content: Content) -> Self {
        Self { settled: content.clone(), seen: content }
    }

    /// Whether a file has changed, and was the same when it was looked at before.
    fn notice(&mut self, content: Content) -> bool {
        let still = content == self.seen;
        self.seen = content;
        let changed = still && self.seen != self.settled;
        if changed {
            self.settled.clone_from(&self.seen);
        }
        changed
    }
}

/// A look at a file of bounded size. It is short enough to be taken on the server's own thread.
fn look(path: &Path) -> Content {
    // A pipe would have to be waited for, and has nothing to say twice.
    path.metadata().ok().filter(fs::Metadata::is_file)?;
    text_of(path).ok()
}

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        Some(text.to_owned())
    }

    #[test]
    fn a_change_is_noticed_once_when_it_has_settled() {
        let mut changes = Changes::since(content("a"));
        assert!(!changes.notice(content("a")));
        assert!(!changes.notice(content("")), "half way");
        assert!(!changes.notice(content("b")), "perhaps half way");
        assert!(changes.notice(content("b")));
        assert!(!changes.notice(content("b")));
    }

    #[test]
    fn what_is_back_to_what_it_was_is_no_change() {
        let mut changes = Changes::since(content("a"));
        assert!(!changes.notice(content("b")));
        assert!(!changes.notice(content("a")));
        assert!(!changes.notice(content("a")));
    }

    #[test]
    fn a_file_that_went_away_is_a_change() {
        let mut changes = Changes::since(content("a"));
        assert!(!changes.notice(None));
        assert!(changes.notice(None));
        assert!(!changes.notice(content("a")));
        assert!(changes.notice(content("a")));
    }
}
