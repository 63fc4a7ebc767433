//! The layer and its options.

use std::net::IpAddr;
use std::sync::{Arc, Once};

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Response};
use tower::Layer;

use super::answers::answer::Denial;
use super::cache::{CacheOptions, DecisionCache};
use super::path::{PathPattern, PathRules};
use super::public_origin::PublicOrigin;
use super::request::client_ip::ClientIpRules;
use super::request::facts::Disclosure;
use super::request::session::Session;
use super::rule::Rule;
use super::service::Enforce;
use super::shared::{Shared, peer};
use super::signed::clearance::ClearanceOptions;
use super::signed::keys::ClearanceKeys;
use super::signed::secrets::Secrets;
use super::telemetry::Telemetry;
use super::verifications::Verifications;
use crate::{EsperError, Guard};

/// Asks Esper about every request to a service, and acts on what it says.
///
/// ```no_run
/// use std::net::SocketAddr;
///
/// use axum::Router;
/// use axum::routing::post;
/// use esper_rs_client::enforce::EnforceLayer;
/// use esper_rs_client::{AsyncEsperClient, EsperConfig};
///
/// # async fn checkout() {}
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = AsyncEsperClient::new(EsperConfig::from_env()?)?;
/// let app = Router::new().route("/checkout", post(checkout)).layer(EnforceLayer::new(client));
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// // Without it, no request has a peer address.
/// let app = app.into_make_service_with_connect_info::<SocketAddr>();
/// axum::serve(listener, app).await?;
/// # Ok(())
/// # }
/// ```
///
/// A clone shares the guard, the cache and the keys of its original, and so do the services of all
/// routes that one layer is put on.
///
/// Answers to challenges are posted to a path of the layer's own. A layer around the whole
/// application sees them; one on some routes only, or inside `Router::nest`, does not, because no
/// route leads there. Put a clone that has the endpoint and nothing else around the whole:
///
/// ```
/// use axum::Router;
/// use esper_rs_client::enforce::EnforceLayer;
///
/// fn application(shop: Router, enforce: &EnforceLayer) -> Router {
///     let endpoint = enforce.clone().endpoint_only();
///     Router::new().nest("/shop", shop.layer(enforce.clone())).layer(endpoint)
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put in front of a service"]
pub struct EnforceLayer {
    shared: Arc<Shared>,
}

impl EnforceLayer {
    /// Enforces the decisions about every request, with the defaults of all options.
    ///
    /// Of an [`AsyncEsperClient`](crate::AsyncEsperClient), it makes a guard with the defaults; a [`Guard`]
    /// keeps its deadline, its breaker and its failure policy.
    pub fn new(guard: impl Into<Guard>) -> Self {
        let guard = guard.into();
        let telemetry = Telemetry::new(guard.client().beacons(), 1.0);
        let shared = Shared {
            rule: None,
            paths: probes(),
            client_ip: ClientIpRules::direct(),
            peer: Arc::new(peer),
            disclosure: Disclosure::default(),
            cache: None,
            secrets: Secrets::default(),
            origin: None,
            endpoint: ENDPOINT.to_owned(),
            response: None,
            telemetry: Some(Arc::new(telemetry)),
            verifications: Arc::new(Verifications::new()),
            origin_warning: Arc::new(Once::new()),
            guard,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sets what is done about a request, by a function of its head; where it returns nothing, the
    /// rules of paths hold.
    ///
    /// Inside of a nested router the URI of that head has no prefix any more; the whole one is in
    /// axum's extension `OriginalUri`, by which the rules of paths go.
    ///
    /// The function decides before anything is asked. It must not go by what a visitor can make up:
    /// a rule that exempts whoever sends some header exempts everybody, and a comparison of the path
    /// misses the other ways to write it, which [`with_path`](Self::with_path) and
    /// [`with_paths_below`](Self::with_paths_below) know. What a layer outside of this one has found
    /// out is safe to go by:
    ///
    /// ```
    /// use esper_rs_client::enforce::{EnforceLayer, Rule};
    ///
    /// /// The login puts it into the extensions of a request.
    /// #[derive(Clone)]
    /// struct Employee;
    ///
    /// # fn configure(layer: EnforceLayer) -> EnforceLayer {
    /// layer.with_rule(|request| request.extensions.get::<Employee>().map(|_| Rule::monitor()))
    /// # }
    /// ```
    pub fn with_rule(self, rule: impl Fn(&Parts) -> Option<Rule> + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.rule = Some(Arc::new(rule)))
    }

    /// Sets what is done about the requests of one path, such as `/checkout`.
    ///
    /// The path is written as people read it, without a query. Routers disagree about what a path
    /// is (`//admin`, `/x/../admin`, `/%61dmin`, `/admin;x`), so the rules for all ways to read a
    /// request's path count together: the strictest mode, and of those of one mode, whatever one of
    /// them fails closed on. [`Rule::enforce`] is stricter than [`Rule::monitor`], which is
    /// stricter than [`Rule::exempt`]. If several patterns match one way to read it, the longest
    /// applies.
    ///
    /// Unless set, `/healthz`, `/livez` and `/readyz` are exempt, and all other paths are enforced.
    ///
    /// # Errors
    ///
    /// Fails if `path` does not begin with `/`, ends with one, or contains `%`, `\`, `;`, `?`, `#`,
    /// a wildcard (`*`, `{id}`, `:id`), an empty segment, `.` or `..`.
    pub fn with_path(self, path: &str, rule: Rule) -> Result<Self, EsperError> {
        let pattern = PathPattern::exactly(path)?;
        Ok(self.with(|shared| shared.paths.set(pattern, rule)))
    }

    /// Sets what is done about the requests of a path and of all that is below it. `/` is for all
    /// paths that have no other rule; otherwise as [`with_path`](Self::with_path).
    ///
    /// # Errors
    ///
    /// Fails as [`with_path`](Self::with_path) does, save that `path` may end with a slash.
    pub fn with_paths_below(self, path: &str, rule: Rule) -> Result<Self, EsperError> {
        let pattern = PathPattern::below(path)?;
        Ok(self.with(|shared| shared.paths.set(pattern, rule)))
    }

    /// Exempts everything, whatever the rules were so far, so that of this layer the endpoint alone
    /// is left.
    pub fn endpoint_only(self) -> Self {
        self.with(|shared| {
            shared.rule = None;
            shared.paths = PathRules::new(Rule::exempt());
        })
    }

    /// Sets how the address of a client is found; that of the connection, unless set.
    ///
    /// Behind a proxy that is the proxy's, and all visitors look like one.
    pub fn with_client_ip(self, rules: ClientIpRules) -> Self {
        self.with(|shared| shared.client_ip = rules)
    }

    /// Sets where the address of a connection comes from, for servers other than axum's; unless
    /// set, from the extension `ConnectInfo<SocketAddr>`, or `MockConnectInfo` as axum's tests have it.
    pub fn with_peer(
        self,
        peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.with(|shared| shared.peer = Arc::new(peer))
    }

    /// Sets the headers that Esper is told of, instead of a dozen that say what a client is (such
    /// as `accept-language` and `sec-fetch-mode`). Of each, the first line and 512 bytes are told.
    ///
    /// # Errors
    ///
    /// Fails with a name that is none, and with one that says that it holds a secret, such as
    /// `cookie` and whatever has `token`, `secret` or `-key` in it.
    pub fn with_headers<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, EsperError> {
        let mut disclosure = self.shared.disclosure.clone();
        disclosure.set_headers(names)?;
        Ok(self.with(|shared| shared.disclosure = disclosure))
    }

    /// Sends query strings to Esper, in `path` and in `return_url`. Without it, a visitor returns
    /// from a managed challenge to the path alone. Query strings often hold secrets.
    pub fn with_query_strings(self) -> Self {
        self.with(|shared| shared.disclosure.query = true)
    }

    /// Tells Esper which requests belong together, by a digest of this cookie's value.
    ///
    /// The value should be random, as that of a session is. A digest of one that can be guessed,
    /// such as a user's number, can be guessed too: pass something else to
    /// [`with_session`](Self::with_session) then.
    ///
    /// # Errors
    ///
    /// Fails with a name that no cookie has.
    pub fn with_session_cookie(self, name: impl Into<String>) -> Result<Self, EsperError> {
        let session = Session::cookie(name.into())?;
        Ok(self.with(|shared| shared.disclosure.session = Some(session)))
    }

    /// Tells Esper which requests belong together, by an id that is not a secret. Its first 128
    /// bytes count.
    pub fn with_session(
        self,
        session: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let session = Session::Function(Arc::new(session));
        self.with(|shared| shared.disclosure.session = Some(session))
    }

    /// Keeps decisions for a moment; unless set, every request waits for one of its own.
    pub fn with_cache(self, options: CacheOptions) -> Self {
        self.with(|shared| shared.cache = Some(DecisionCache::new(options)))
    }

    /// Sets what clearances and challenges are signed with, for several replicas that share them
    /// and for restarts.
    ///
    /// Unless set, a key is made at random, and the log says so: then no replica knows the
    /// clearances of another, and visitors solve a challenge anew.
    pub fn with_clearance_keys(self, keys: ClearanceKeys) -> Self {
        self.with(|shared| shared.secrets = shared.secrets.clone().with_keys(keys))
    }

    /// Sets how long a solved challenge counts, and for whom.
    ///
    /// # Errors
    ///
    /// Fails if a lifetime is out of the range given at [`ClearanceOptions`].
    pub fn with_clearance_options(self, options: ClearanceOptions) -> Result<Self, EsperError> {
        options.check()?;
        let secrets = self.shared.secrets.clone().with_options(options);
        Ok(self.with(|shared| shared.secrets = secrets))
    }

    /// Sets where browsers find the application, such as `https://shop.example`.
    ///
    /// Only with it does Esper learn where a visitor goes back to after a managed challenge, and
    /// only so can it make one: the name that a request gives itself is not to be trusted.
    pub fn with_public_origin(self, origin: PublicOrigin) -> Self {
        self.with(|shared| shared.origin = Some(origin))
    }

    /// Sets the path of the layer's own endpoint; `/.well-known/esper/challenge` unless set.
    ///
    /// What is below it belongs to the layer as well. Both are paths as the visitor's browser knows
    /// them, also for a layer that is nested or on some routes only.
    ///
    /// # Errors
    ///
    /// Fails if it does not begin with a slash, or has a segment that is empty, `.` or `..`, or
    /// contains anything else than ASCII letters, digits, `-`, `_` and `.`.
    pub fn with_endpoint(self, path: impl Into<String>) -> Result<Self, EsperError> {
        let path = path.into();
        let is_plain = |segment: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !["", ".", ".."].contains(&segment) && segment.bytes().all(is_plain)
        };
        if !path.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_plain)) {
            let message = format!(
                "endpoint is no absolute path of letters, digits, '-', '_' and '.'; it looks like \
                 {ENDPOINT}"
            );
            return Err(EsperError::validation("endpoint", message));
        }
        Ok(self.with(|shared| shared.endpoint = path))
    }

    /// Answers blocks and challenges by a function; where it returns nothing, as usual.
    ///
    /// The answer goes out as it is. Where it has no `Cache-Control` or no `Vary`, it gets those of
    /// the usual answers, by which no cache keeps it. An answer to a challenge replaces the redirect
    /// to a managed one: return nothing where the decision's response has a `redirect_url`. The
    /// answers to a proof that is not valid are the layer's own.
    pub fn with_response(
        self,
        response: impl Fn(&Denial<'_>) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.with(|shared| shared.response = Some(Arc::new(response)))
    }

    /// Sets for which share of the requests that it is asked about, from 0 to 1, Esper is told how
    /// they ended; for all of them, unless set. More than 1 is all, and what is no number is none.
    ///
    /// It learns from these events alone. With 0, the application should send events of its own.
    pub fn with_telemetry_share(self, share: f64) -> Self {
        let beacons = self.shared.guard.client().beacons();
        let telemetry = (share > 0.0).then(|| Arc::new(Telemetry::new(beacons, share)));
        self.with(|shared| shared.telemetry = telemetry)
    }

    /// The guard that decides, for its counts and its warm-up.
    pub fn guard(&self) -> &Guard {
        &self.shared.guard
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }
}

impl<S> Layer<S> for EnforceLayer {
    type Service = Enforce<S>;

    fn layer(&self, inner: S) -> Enforce<S> {
        // What is wrong with the keys is said at the start, and not at the first challenge.
        self.shared.secrets.signers();
        Enforce::new(inner, Arc::clone(&self.shared))
    }
}

/// The paths at which orchestrators ask whether a service is well.
fn probes() -> PathRules<Rule> {
    let paths = ["/healthz", "/livez", "/readyz"].map(PathPattern::exactly);
    paths
        .into_iter()
        .flatten()
        .fold(PathRules::new(Rule::enforce()), |rules, path| rules.with(path, Rule::exempt()))
}

const ENDPOINT: &str = "/.well-known/esper/challenge";
