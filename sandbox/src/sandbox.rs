//! The sandbox in the hands of whoever started it.

use std::fmt;
use std::net::SocketAddr;

use crate::builder::SandboxBuilder;
use crate::console::Curtain;
use crate::public_url::url_of;
use crate::server::Server;

/// A running stand-in for Esper.
///
/// It serves on a thread of its own: a synchronous client can talk to it from within a
/// single-threaded runtime. It stops when it is dropped, or in good order with
/// [`stop`](Self::stop).
#[must_use = "the sandbox stops when it is dropped"]
pub struct Sandbox {
    /// There is one if there is a console. It falls before the server stops.
    curtain: Option<Curtain>,
    server: Server,
    addr: SocketAddr,
    url: String,
    api_key: String,
}

impl Sandbox {
    /// The key of a sandbox that was given none. It opens nothing but sandboxes.
    pub const DEFAULT_API_KEY: &str = "esper-sandbox-key";

    /// Starts a sandbox on a free port of the loopback address, with
    /// [`DEFAULT_API_KEY`](Self::DEFAULT_API_KEY).
    ///
    /// It can be awaited in any runtime.
    ///
    /// # Panics
    ///
    /// Panics when the loopback address cannot be bound or no thread can be started. Use
    /// [`Sandbox::builder`] to get an error instead.
    pub async fn start() -> Self {
        let started = Self::builder().start().await;
        started.unwrap_or_else(|error| panic!("the sandbox does not start: {error}"))
    }

    /// Starts a sandbox as [`start`](Self::start) does, for callers that do not await.
    ///
    /// # Panics
    ///
    /// Panics when the loopback address cannot be bound or no thread can be started. Use
    /// [`Sandbox::builder`] to get an error instead.
    pub fn start_blocking() -> Self {
        let started = Self::builder().start_blocking();
        started.unwrap_or_else(|error| panic!("the sandbox does not start: {error}"))
    }

    /// Configures a sandbox.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
    }

    /// The base URL of both hosts, without a slash at its end: `http://127.0.0.1:41873`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the console is, if there is one: the page that shows what the sandbox sees and does.
    #[must_use]
    pub fn console_url(&self) -> Option<String> {
        self.curtain.as_ref().map(|_| format!("{}/", self.url))
    }

    /// The address that the sandbox listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A key that the sandbox accepts, the first that it was given.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Stops the sandbox: accepts no more, answers the requests in flight, and ends.
    ///
    /// This takes two seconds at most; then requests that are still in flight are cut off. It can
    /// be awaited in any runtime. Dropping the sandbox stops it in the same way, but waits no
    /// longer than a moment for the end.
    pub async fn stop(self) {
        drop(self.curtain);
        self.server.stop().await;
    }

    pub(crate) fn new(
        curtain: Option<Curtain>,
        server: Server,
        addr: SocketAddr,
        api_key: String,
    ) -> Self {
        Self { curtain, server, addr, url: url_of(addr), api_key }
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.url).finish_non_exhaustive()
    }
}
