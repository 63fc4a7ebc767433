//! Say how a sandbox should be, then start it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::admin;
use crate::challenge::managed::{ManagedChallenges, ReturnHosts};
use crate::challenge::{Challenges, DIFFICULTY, LIFETIME};
use crate::console::{Console, ConsoleState, ShutdownSignal, Viewers};
use crate::http::public_url::{PublicUrl, url_of};
use crate::http::routes;
use crate::http::server::{Listening, Server, Site};
use crate::limits::Limits;
use crate::policy_file::{PolicySource, watch};
use crate::sandbox::Sandbox;
use crate::service::keys::ApiKeys;
use crate::service::{Parts, Service};

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
    admin: Option<SocketAddr>,
    limits: Limits,
    policies: PolicySource,
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
            admin: None,
            limits: Limits::default(),
            policies: PolicySource::Starters,
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

    /// How many leading zero bits a proof of work has. Default: 16. Fewer make tests faster; 0
    /// accepts any nonce. More than 32 are refused at the start.
    pub fn challenge_difficulty(mut self, bits: u8) -> Self {
        self.challenge_difficulty = bits;
        self
    }

    /// How many requests of each key are admitted in a minute; further ones are answered with
    /// status 429 and a `Retry-After`. Default: no limit; 0 is refused at the start.
    ///
    /// A key's minute begins with its first request. Requests with a wrong key do not count.
    pub fn requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// How long a challenge can be answered, and how long a managed challenge's proof is valid.
    /// Default: five minutes; zero is refused at the start.
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
    /// itself, not for names below it. This machine (`localhost`, names under `.localhost`,
    /// `127.0.0.0/8` and `[::1]`) is always allowed. A text that is no host is refused at the start.
    pub fn return_host(mut self, host: impl Into<String>) -> Self {
        self.return_hosts.push(host.into());
        self
    }

    /// Says where there is a console, if not where [`Console::OnLoopback`] says.
    ///
    /// It answers to addresses, to `localhost` and names under it, and to the host of the
    /// [`public_url`](Self::public_url) alone.
    pub fn console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }

    /// Offers the admin interface on this address, which is another than that of the sandbox:
    /// faults, recorded requests and the clock, for whoever is not in the same process.
    ///
    /// It asks for no key. Whoever reaches the address can use it, so keep it on loopback.
    pub fn admin(mut self, addr: SocketAddr) -> Self {
        self.admin = Some(addr);
        self
    }

    /// Bounds what callers may take, in place of [`Limits::default`]. A limit of nothing is
    /// refused at the start.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Applies these policies instead of the starters: the text of a policy file. An empty one has
    /// none, so that only what is put by hand is in force. A mistake is refused at the start with
    /// its line.
    ///
    /// [`STARTER_POLICIES`](crate::STARTER_POLICIES) is such a text.
    pub fn policies(mut self, text: impl Into<String>) -> Self {
        self.policies = PolicySource::Text(text.into());
        self
    }

    /// Applies the policies in this file instead of the starters, and again when it changes.
    ///
    /// A file that cannot be read or has a mistake is refused at the start. Later the policies
    /// then stay as they were, and the log and the console say so. A pipe is read once, at the start.
    pub fn policies_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.policies = PolicySource::File(path.into());
        self
    }

    /// Starts the sandbox. It can be awaited in any runtime.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::InvalidInput`] when a key is empty or fits into no header, the
    /// policies have a mistake, or another option is outside of its range, and with the cause when
    /// the policy file cannot be read, the address cannot be bound or no thread can be started.
    pub async fn start(self) -> io::Result<Sandbox> {
        let (ready, started) = oneshot::channel();
        let starting = self.spawn(move |listening| {
            // Nobody listens if the future was dropped; the server is then told to stop as well.
            let _ = ready.send(listening);
        })?;
        let listening = started.await.unwrap_or_else(|_| Err(starting.vanished()));
        starting.finish(listening?)
    }

    /// Starts the sandbox as [`start`](Self::start) does, for callers that do not await.
    ///
    /// # Errors
    ///
    /// Fails as [`start`](Self::start) does.
    pub fn start_blocking(self) -> io::Result<Sandbox> {
        let (ready, started) = mpsc::channel();
        let starting = self.spawn(move |listening| {
            let _ = ready.send(listening);
        })?;
        let listening = started.recv().unwrap_or_else(|_| Err(starting.vanished()));
        starting.finish(listening?)
    }

    fn spawn(
        mut self,
        ready: impl FnOnce(io::Result<Listening>) + Send + 'static,
    ) -> io::Result<Starting> {
        self.limits.check()?;
        if self.api_keys.is_empty() {
            self.api_keys.push(Sandbox::DEFAULT_API_KEY.to_owned());
        }
        let (console, shutdown) = self.open_console().unzip();
        let service = Arc::new(self.service(console)?);
        let file = self.policies.file();
        let watching = file.map(|file| watch(file.to_owned(), Arc::downgrade(&service)));
        let router = routes::router(Arc::clone(&service), &self.limits);
        let mut sites = vec![Site { listen: self.listen, router }];
        if let Some(listen) = self.admin {
            let router = admin::router(Arc::clone(&service), &self.limits);
            sites.push(Site { listen, router });
        }
        let ready = {
            let service = Arc::clone(&service);
            move |listening: io::Result<Listening>| {
                if let Ok(Listening { addrs, .. }) = &listening
                    && let Some(addr) = addrs.first()
                {
                    service.public_url.set_default(*addr);
                }
                ready(listening);
            }
        };
        let server = Server::spawn(sites, self.limits, watching, ready)?;
        Ok(Starting { shutdown, server, service, api_key: self.api_keys.swap_remove(0) })
    }

    fn open_console(&self) -> Option<(ConsoleState, ShutdownSignal)> {
        let wanted = match self.console {
            Console::OnLoopback => self.listen.ip().to_canonical().is_loopback(),
            Console::Always => true,
            Console::Never => false,
        };
        let (viewers, shutdown) = wanted.then(Viewers::new)?;
        Some((ConsoleState::new(viewers), shutdown))
    }

    /// The service, without a server.
    pub(crate) fn service(&self, console: Option<ConsoleState>) -> io::Result<Service> {
        if self.requests_per_minute == Some(0) {
            let why = "a rate limit of 0 admits nobody; leave it out or give it a higher value";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let keys = ApiKeys::new(&self.api_keys)?;
        let challenges = Challenges::new(self.challenge_difficulty, self.challenge_lifetime)?;
        let return_hosts = ReturnHosts::new(&self.return_hosts)?;
        let managed = ManagedChallenges::new(return_hosts, self.challenge_lifetime)?;
        let public_url = self.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        Service::new(Parts {
            keys,
            source: self.policies.clone(),
            challenges,
            managed,
            public_url: public_url.unwrap_or_default(),
            requests_per_minute: self.requests_per_minute,
            console,
        })
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
            .field("admin", &self.admin)
            .field("limits", &self.limits)
            .field("policies", &self.policies)
            .finish()
    }
}

/// A sandbox whose addresses are not known yet.
struct Starting {
    shutdown: Option<ShutdownSignal>,
    server: Server,
    service: Arc<Service>,
    api_key: String,
}

impl Starting {
    fn finish(self, listening: Listening) -> io::Result<Sandbox> {
        let (addr, admin) = match listening.addrs[..] {
            [] => return Err(self.vanished()),
            [addr] => (addr, None),
            [addr, admin, ..] => (addr, Some(admin)),
        };
        let Self { shutdown, server, service, api_key } = self;
        let runtime = listening.runtime;
        let url = url_of(addr);
        Ok(Sandbox { shutdown, server, runtime, service, addr, admin, url, api_key })
    }

    fn vanished(&self) -> io::Error {
        io::Error::other("the thread of the sandbox ended before it listened; this is a bug of it")
    }
}
