//! Finds the addresses of a host by its name.
//!
//! Like reqwest's own way to do so, it takes a thread of tokio's. Where the system gives none, that
//! panics, in the caller's future; here it is an error like that of a name which does not resolve.

use std::io;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// The names that the system knows.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = on_a_thread(move || (name.as_str(), 0).to_socket_addrs()).await??;
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// Does something that may take long, unless nobody waits for it when its turn comes: what tokio has
/// no thread for, it keeps for the next one.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    let work = move || {
        if !sender.is_closed() {
            let _ = sender.send(work());
        }
    };
    let begun = catch_unwind(AssertUnwindSafe(|| spawn_blocking(work)));
    begun.map_err(|_| io::Error::other(NO_THREAD))?;
    done.await.map_err(|_| io::Error::other(ENDED))
}

const NO_THREAD: &str = "the system gives no thread to look up a name; raise its limits on threads or \
                         memory";
const ENDED: &str = "the runtime ended before a name was looked up";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_got_no_thread_is_not_done_when_there_is_one_again() {
        let scarce = Arc::new(AtomicBool::new(true));
        let done = Arc::new(AtomicUsize::new(0));
        let (none, count) = (Arc::clone(&scarce), Arc::clone(&done));
        let thread_name = move || {
            // In the place where tokio panics without a thread.
            assert!(!none.load(Ordering::SeqCst), "on purpose");
            "a-thread".to_owned()
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.thread_name_fn(thread_name).build().unwrap();
        let work = || {
            let count = Arc::clone(&count);
            on_a_thread(move || count.fetch_add(1, Ordering::SeqCst))
        };
        runtime.block_on(async {
            for _ in 0..3 {
                let error = work().await.unwrap_err();
                assert_eq!(error.to_string(), NO_THREAD);
            }
            scarce.store(false, Ordering::SeqCst);
            work().await.unwrap();
        });
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
