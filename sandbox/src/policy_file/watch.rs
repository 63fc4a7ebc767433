//! Notice that a policy file has changed.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Content;
use super::source::text_of;
use crate::service::Service;

/// Applies a policy file again whenever it has changed, for as long as the service is there.
pub(crate) async fn watch(path: PathBuf, service: Weak<Service>) {
    let mut settling = Settling::default();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(service) = service.upgrade() else { return };
        if let Some(seen) = look(&path)
            && let Some(content) = settling.settled(seen)
        {
            service.reload_changed_policies(content);
        }
    }
}

/// Tells a content that has settled from one half way: a file that is being written is not read.
#[derive(Debug, Default)]
struct Settling {
    seen: Option<Content>,
}

impl Settling {
    /// The content of a file, if it was the same when it was looked at before.
    fn settled(&mut self, content: Content) -> Option<&Content> {
        let still = self.seen.as_ref() == Some(&content);
        let seen = self.seen.insert(content);
        still.then_some(seen)
    }
}

/// A look at a file of bounded size, if it is one. It is short enough to be taken on the server's own
/// thread: a pipe would have to be waited for, and has nothing to say twice.
fn look(path: &Path) -> Option<Content> {
    match path.metadata() {
        Ok(metadata) => metadata.is_file().then(|| text_of(path).ok()),
        Err(_) => Some(None),
    }
}

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use tokio::time::timeout;

    use super::*;
    use crate::console::{ConsoleState, Viewers};
    use crate::sandbox::Sandbox;

    #[test]
    fn what_changes_between_two_looks_has_not_settled() {
        let mut settling = Settling::default();
        let contents = ["a", "a", "", "b", "b"].map(|text| Some(text.to_owned()));
        let settled = contents.map(|content| settling.settled(content).is_some());
        assert_eq!(settled, [false, true, false, false, true]);
        assert_eq!([None, None].map(|gone| settling.settled(gone).is_some()), [false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_looked_at_and_one_that_is_gone_is() {
        assert_eq!(look(Path::new("/dev/null")), None);
        assert_eq!(look(Path::new("/no/such/file")), Some(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_content_that_was_read_by_request_is_not_read_again() {
        let path = std::env::temp_dir().join(format!("watch-{}.toml", std::process::id()));
        let write = |text: &str| fs::write(&path, text).expect("a file");
        write("");
        let (viewers, _shutdown) = Viewers::new();
        let console = ConsoleState::new(viewers);
        let builder = Sandbox::builder().api_key("x").policies_file(&path);
        let service = Arc::new(builder.service(Some(console)).expect("a service"));
        let reloads = || {
            let journal = service.console().expect("a console").journal.lock().expect("rows");
            journal.rows().map(|row| row.count).sum::<u64>()
        };
        let some_looks = || timeout(PERIOD * 10, watch(path.clone(), Arc::downgrade(&service)));

        write("# changed");
        service.reload_policies().expect("no mistake");
        assert!(some_looks().await.is_err(), "it goes on");
        assert_eq!(reloads(), 1);
        write("policy = 7");
        service.reload_policies().expect_err("a mistake");
        assert!(some_looks().await.is_err(), "it goes on");
        assert_eq!(reloads(), 2);
        write("# changed again");
        assert!(some_looks().await.is_err(), "it goes on");
        assert_eq!(reloads(), 3);
        fs::remove_file(&path).expect("a file");
    }
}
