//! Say how a sandbox should be, then start it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

use crate::challenge::{Challenges, DIFFICULTY, LIFETIME};
use crate::console::{Console, ConsoleState, Curtain, Viewers};
use crate::keys::ApiKeys;
use crate::managed::{ManagedChallenges, ReturnHosts};
use crate::public_url::PublicUrl;
use crate::routes;
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::service::Service;

/// A sandbox that is yet to start.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct SandboxBuilder {
    listen: SocketAddr,
    api_keys: Vec<String>,
    challenge_difficulty: u8,
    requests_per_minute: Option<u32>,
    public_url: Option<String>,
    return_hosts: Vec<String>,
    challenge_lifetime: Duration,
    console: Console,
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            api_keys: Vec::new(),
            challenge_difficulty: DIFFICULTY,
            requests_per_minute: None,
            public_url: None,
            return_hosts: Vec::new(),
            challenge_lifetime: LIFETIME,
            console: Console::default(),
        }
    }

    /// Listens on this address, instead of on a free port of the loopback address.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Accepts this key, and further ones if it is called again.
    ///
    /// Without a key the sandbox accepts [`Sandbox::DEFAULT_API_KEY`]. All keys see the same
    /// visitors; usage, rate limits and idempotency keys are counted for each key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_keys.push(key.into());
        self
    }

    /// Asks for so many leading zero bits in a proof of work, instead of 16. Fewer make tests
    /// faster; 0 accepts any nonce. More than 32 are refused at the start.
    pub fn challenge_difficulty(mut self, bits: u8) -> Self {
        self.challenge_difficulty = bits;
        self
    }

    /// Admits so many requests of each key in a minute, and answers further ones with status 429
    /// and a `Retry-After`. Without it there is no limit; 0 is refused at the start.
    ///
    /// A key's minute begins with its first request. Requests with a wrong key do not count.
    pub fn requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// Lets a challenge expire after this time, and so the proof of a managed one after it was
    /// solved, instead of after five minutes. Zero is refused at the start.
    pub fn challenge_lifetime(mut self, lifetime: Duration) -> Self {
        self.challenge_lifetime = lifetime;
        self
    }

    /// Says where a visitor's browser finds the sandbox, if not at the address that it listens on:
    /// behind a proxy, in a container. A path is kept before those of the sandbox.
    ///
    /// The pages of managed challenges stand below it. A text that is no such URL is refused at
    /// the start.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Lets visitors return to this host from the page of a managed challenge, and to further ones
    /// if it is called again.
    ///
    /// A host is a name or an address, without scheme and port: `shop.example`. It stands for
    /// itself, not for names below it. This machine (`localhost`, names that end so, `127.0.0.0/8`
    /// and `[::1]`) is always allowed. A text that is no host is refused at the start.
    pub fn return_host(mut self, host: impl Into<String>) -> Self {
        self.return_hosts.push(host.into());
        self
    }

    /// Says where there is a console, if not where [`Console::OnLoopback`] says.
    ///
    /// It answers to the names of this machine and to the host of the
    /// [`public_url`](Self::public_url) alone.
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// Starts the sandbox. It can be awaited in any runtime.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::InvalidInput`] when a key is empty or fits into no header, or
    /// another option is outside of its range, and with the cause when the address cannot be
    /// bound or no thread can be started.
    pub async fn start(self) -> io::Result<Sandbox> {
        let (ready, started) = oneshot::channel();
        let starting = self.spawn(move |addr| {
            // Nobody listens if the future was dropped; the server is then told to stop as well.
            let _ = ready.send(addr);
        })?;
        let addr = started.await.unwrap_or_else(|_| Err(starting.vanished()));
        starting.finish(addr)
    }

    /// Starts the sandbox as [`start`](Self::start) does, for callers that do not await.
    ///
    /// # Errors
    ///
    /// Fails as [`start`](Self::start) does.
    pub fn start_blocking(self) -> io::Result<Sandbox> {
        let (ready, started) = mpsc::channel();
        let starting = self.spawn(move |addr| {
            let _ = ready.send(addr);
        })?;
        let addr = started.recv().unwrap_or_else(|_| Err(starting.vanished()));
        starting.finish(addr)
    }

    fn spawn(
        mut self,
        ready: impl FnOnce(io::Result<SocketAddr>) + Send + 'static,
    ) -> io::Result<Starting> {
        if self.api_keys.is_empty() {
            self.api_keys.push(Sandbox::DEFAULT_API_KEY.to_owned());
        }
        let public_url = self.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        let public_url = public_url.unwrap_or_default();
        let (console, curtain) = self.open_console().unzip();
        let router = self.router(public_url.clone(), console)?;
        let ready = move |addr: io::Result<SocketAddr>| {
            if let Ok(addr) = &addr {
                public_url.set_default(*addr);
            }
            ready(addr);
        };
        let server = Server::spawn(self.listen, router, ready)?;
        let api_key = self.api_keys.swap_remove(0);
        Ok(Starting { curtain, server, listen: self.listen, api_key })
    }

    fn open_console(&self) -> Option<(ConsoleState, Curtain)> {
        let wanted = match self.console {
            Console::OnLoopback => self.listen.ip().to_canonical().is_loopback(),
            Console::Always => true,
            Console::Never => false,
        };
        let (viewers, curtain) = wanted.then(Viewers::new)?;
        Some((ConsoleState::new(viewers), curtain))
    }

    fn router(&self, public_url: PublicUrl, console: Option<ConsoleState>) -> io::Result<Router> {
        if self.requests_per_minute == Some(0) {
            let why = "a rate limit of 0 admits nobody; leave it out or give it a higher value";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let keys = ApiKeys::new(&self.api_keys)?;
        let challenges = Challenges::new(self.challenge_difficulty, self.challenge_lifetime)?;
        let return_hosts = ReturnHosts::new(&self.return_hosts)?;
        let managed = ManagedChallenges::new(return_hosts, self.challenge_lifetime)?;
        let service = Service::new(keys, challenges, managed, public_url, self.requests_per_minute);
        Ok(routes::router(Arc::new(service.with_console(console))))
    }
}

impl fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBuilder")
            .field("listen", &self.listen)
            .field("api_keys", &self.api_keys.len())
            .field("challenge_difficulty", &self.challenge_difficulty)
            .field("requests_per_minute", &self.requests_per_minute)
            .field("public_url", &self.public_url)
            .field("return_hosts", &self.return_hosts)
            .field("challenge_lifetime", &self.challenge_lifetime)
            .field("console", &self.console)
            .finish()
    }
}

/// A sandbox whose address is not known yet.
struct Starting {
    curtain: Option<Curtain>,
    server: Server,
    listen: SocketAddr,
    api_key: String,
}

impl Starting {
    fn finish(self, addr: io::Result<SocketAddr>) -> io::Result<Sandbox> {
        let Self { curtain, server, listen, api_key } = self;
        match addr {
            Ok(addr) => Ok(Sandbox::new(curtain, server, addr, api_key)),
            Err(error) => Err(cannot_listen(listen, &error)),
        }
    }

    fn vanished(&self) -> io::Error {
        io::Error::other("its thread ended without a word")
    }
}

fn cannot_listen(listen: SocketAddr, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{listen} is in use; stop what listens there or choose another address")
        }
        _ => format!("cannot listen on {listen}: {error}; choose another address"),
    };
    io::Error::new(error.kind(), why)
}
