//! Finds the addresses of a host by its name.
//!
//! Like reqwest's own way to do so, it takes a thread of tokio's. Where the system gives none, that
//! panics, in the caller's future; here it is an error like that of a name which does not resolve.

use std::io;
use std::net::ToSocketAddrs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::JoinSet;

/// The names that the system knows.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Nothing is looked up any longer when nobody waits for it.
            let mut lookup = JoinSet::new();
            let begin = || lookup.spawn_blocking(move || (name.as_str(), 0).to_socket_addrs());
            catch_unwind(AssertUnwindSafe(begin)).map_err(|_| io::Error::other(NO_THREAD))?;
            let found = lookup.join_next().await;
            let found = found.ok_or_else(|| io::Error::other(NO_THREAD))?;
            Ok(Box::new(found??) as Addrs)
        })
    }
}

const NO_THREAD: &str = "the system gives no thread to look up a name; raise its limits on threads or \
                         memory";
