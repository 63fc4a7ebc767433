//! A site of axum behind the layer, with a sandbox of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use esper_rs_client::AsyncEsperClient;
use esper_rs_client::enforce::EnforceLayer;
use esper_sandbox::{Sandbox, SandboxBuilder};
use reqwest::{Client, RequestBuilder, redirect};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::echo::{Echo, layer};
use crate::support::{KEY, config, patient};

/// A running site. It ends with this.
pub(crate) struct Site {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) http: Client,
    application: Echo,
}

impl Site {
    /// A site with a layer as it comes.
    pub(crate) async fn new() -> Self {
        Self::with(|layer| layer).await
    }

    /// A site with a layer that was changed.
    pub(crate) async fn with(change: impl FnOnce(EnforceLayer) -> EnforceLayer) -> Self {
        Self::with_sandbox(Sandbox::builder().challenge_difficulty(4), change).await
    }

    pub(crate) async fn with_sandbox(
        sandbox: SandboxBuilder,
        change: impl FnOnce(EnforceLayer) -> EnforceLayer,
    ) -> Self {
        let sandbox = Arc::new(sandbox.api_key(KEY).start().await.unwrap());
        let layer = change(layer(sandbox.url()));
        Self::before(sandbox, layer).await
    }

    /// A site that waits for half a second where others wait for long, though for decisions as
    /// long as they do.
    pub(crate) async fn impatient(change: impl FnOnce(EnforceLayer) -> EnforceLayer) -> Self {
        let sandbox =
            Sandbox::builder().api_key(KEY).challenge_difficulty(4).start().await.unwrap();
        let config = config(sandbox.url())
            .with_timeout(Duration::from_millis(500))
            .with_retry_delay(Duration::from_millis(1));
        let guard = patient(AsyncEsperClient::new(config).unwrap());
        Self::before(Arc::new(sandbox), change(EnforceLayer::new(guard))).await
    }

    /// Another site that asks the sandbox of this one.
    pub(crate) async fn beside(&self, change: impl FnOnce(EnforceLayer) -> EnforceLayer) -> Self {
        let layer = change(layer(self.sandbox.url()));
        Self::before(Arc::clone(&self.sandbox), layer).await
    }

    pub(crate) async fn before(sandbox: Arc<Sandbox>, layer: EnforceLayer) -> Self {
        Self { sandbox, http: http(), application: Echo::behind(layer).await }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.application.addr
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// A request of a browser that navigates.
    pub(crate) fn visit(&self, path: &str) -> RequestBuilder {
        self.http
            .get(self.url(path))
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-mode", "navigate")
            .header("user-agent", BROWSER)
    }

    /// A request of a program.
    pub(crate) fn call(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path)).header("user-agent", "curl/8.5.0")
    }

    /// How often the application was called.
    pub(crate) fn calls(&self) -> usize {
        self.application.calls()
    }
}

/// Serves an application until it is told to stop.
pub(crate) async fn serve(app: Router) -> (SocketAddr, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    (addr, server.abort_handle())
}

/// A client that shows redirects instead of following them.
pub(crate) fn http() -> Client {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap()
}

/// Waits for what comes soon.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

pub(crate) const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0";
/// Whom the sandbox sees: this machine.
pub(crate) const VISITOR: &str = "127.0.0.1";
