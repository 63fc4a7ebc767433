//! The sandbox in the hands of whoever started it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::builder::SandboxBuilder;
use crate::console::ShutdownSignal;
use crate::engine::visitor::Visitor;
use crate::faults::Faults;
use crate::http::public_url::url_of;
use crate::http::server::Server;
use crate::recording::RecordedRequest;
use crate::service::Service;
use crate::service::accepted_events::TooFewEvents;

/// A running stand-in for Esper.
///
/// It serves on a thread of its own: a synchronous client can talk to it from within a
/// single-threaded runtime. It stops when it is dropped, or in good order with
/// [`stop`](Self::stop).
#[must_use = "the sandbox stops when it is dropped"]
pub struct Sandbox {
    /// There is one if there is a console. It falls before the server stops.
    pub(crate) shutdown: Option<ShutdownSignal>,
    pub(crate) server: Server,
    /// The server's, where time limits are kept.
    pub(crate) runtime: Handle,
    pub(crate) service: Arc<Service>,
    pub(crate) addr: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) url: String,
    pub(crate) api_key: String,
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
        self.shutdown.as_ref().map(|_| format!("{}/", self.url))
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

    /// The address of the admin interface, if the builder was told to offer one.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The base URL of the admin interface, if there is one, without a slash at its end.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.admin.map(url_of)
    }

    /// The faults of this sandbox: lets calls go wrong on purpose.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.service.faults.clone()
    }

    /// The requests that arrived, in their order: calls to operations, and to unknown
    /// paths.
    ///
    /// The last 1,000 are there; [`request_count`](Self::request_count) tells how many there were.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.service.recording.list()
    }

    /// How many requests arrived in all.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.service.recording.count()
    }

    /// Moves the clock of the sandbox on: mitigations end, windows pass, challenges and proofs
    /// expire, rate limits begin anew, and usage counts for another month, as if the time had
    /// passed.
    ///
    /// Delays of faults and the time limits of connections are measured by the machine's clock.
    pub fn advance(&self, span: Duration) {
        self.service.advance(span);
    }

    /// Waits until `count` events have been accepted since the start, for no longer than `limit`.
    ///
    /// An event that is delivered again, under the same `Idempotency-Key` or with the same `id`,
    /// counts once. It can be awaited in any runtime.
    ///
    /// # Errors
    ///
    /// Fails when the time is over, and tells how many there were.
    pub async fn wait_for_events(&self, count: u64, limit: Duration) -> Result<(), TooFewEvents> {
        self.service.accepted.wait(&self.runtime, count, limit).await
    }

    /// Waits as [`wait_for_events`](Self::wait_for_events) does, for callers that do not await.
    ///
    /// # Errors
    ///
    /// Fails as [`wait_for_events`](Self::wait_for_events) does.
    pub fn wait_for_events_blocking(
        &self,
        count: u64,
        limit: Duration,
    ) -> Result<(), TooFewEvents> {
        self.service.accepted.wait_blocking(&self.runtime, count, limit)
    }

    /// Blocks a visitor from now on, until [`lift`](Self::lift) ends it: an address with any user
    /// agent, or a [`Visitor`] with a certain one.
    ///
    /// ```
    /// use esper_sandbox::{Sandbox, Visitor};
    ///
    /// let sandbox = Sandbox::start_blocking();
    /// sandbox.block("203.0.113.7");
    /// sandbox.block(Visitor::new("203.0.113.8").with_user_agent("curl/8.5.0"));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the visitor's address is not an IP address.
    #[track_caller]
    pub fn block(&self, visitor: impl Into<Visitor>) {
        self.service.block(&visitor.into().target());
    }

    /// Challenges a visitor from now on with a proof of work, until it is solved or
    /// [`lift`](Self::lift) ends it. It takes the place of a block by hand.
    ///
    /// # Panics
    ///
    /// Panics if the visitor's address is not an IP address.
    #[track_caller]
    pub fn challenge(&self, visitor: impl Into<Visitor>) {
        self.service.challenge(&visitor.into().target());
    }

    /// Lifts all that is in force against a visitor, with any user agent if none is named: what
    /// was put by hand, and what policies put on entities with the visitor's address in their key.
    /// Events that led to it no longer count.
    ///
    /// # Panics
    ///
    /// Panics if the visitor's address is not an IP address.
    #[track_caller]
    pub fn lift(&self, visitor: impl Into<Visitor>) {
        self.service.lift_all(&visitor.into().target());
    }

    /// Reads the policy file again and applies it at once.
    ///
    /// What is counted alike goes on being counted, and what a policy has put that reads the same
    /// stays in force; so does what was put by hand.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be read or has a mistake, or the policies come from no file or
    /// through a pipe. The policies then stay as they were.
    pub fn reload_policies(&self) -> io::Result<()> {
        self.service.reload_policies()
    }

    /// Stops the sandbox: accepts no more, answers the requests in flight, and ends.
    ///
    /// This takes two seconds at most; then requests that are still in flight are cut off. It can
    /// be awaited in any runtime. Dropping the sandbox stops it in the same way, but waits no
    /// longer than a moment for the end.
    pub async fn stop(self) {
        drop(self.shutdown);
        self.server.stop().await;
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("url", &self.url).finish_non_exhaustive()
    }
}
