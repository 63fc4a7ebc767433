//! An application behind the layer that notes what reaches it, for any stand-in of Esper.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::routing::{MethodRouter, any};
use esper_rs_client::Decision;
use esper_rs_client::enforce::{ClientIp, EnforceLayer};
use esper_sandbox::{Operation, Sandbox};
use http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tower::Service;

use super::site::serve;
use crate::support::guard;

/// A running application. It ends with this.
pub(crate) struct Echo {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: AbortHandle,
}

/// A request as the application got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) client: Option<ClientIp>,
    pub(crate) decision: Option<Decision>,
}

/// What came over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wire(pub(crate) String);

impl Echo {
    /// An application that answers at every path, behind a layer.
    pub(crate) async fn behind(layer: EnforceLayer) -> Self {
        Self::of(|application| Router::new().fallback_service(application).layer(layer)).await
    }

    /// An application that is put together by a function.
    pub(crate) async fn of(app: impl FnOnce(MethodRouter) -> Router) -> Self {
        let (app, seen) = echoing(app);
        let (addr, server) = serve(app).await;
        Self { addr, seen, server }
    }

    /// An application that is served as one is who forgets about addresses.
    pub(crate) async fn without_addresses(layer: EnforceLayer) -> Self {
        let (app, seen) =
            echoing(|application| Router::new().fallback_service(application).layer(layer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        Self { addr, seen, server: server.abort_handle() }
    }

    /// Sends a request, of which nothing is normalised, and reads to the end of the connection.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)]) -> Wire {
        let mut request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        self.exchange((request + "\r\n").as_bytes()).await
    }

    /// Writes bytes, and reads to the end of the connection.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Wire {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        read.expect("an end of the connection").unwrap();
        Wire(String::from_utf8_lossy(&answer).into_owned())
    }

    /// What reached the application so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request that reached the application.
    pub(crate) fn only(&self) -> Seen {
        match self.seen().as_slice() {
            [seen] => seen.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// How often the application was called.
    pub(crate) fn calls(&self) -> usize {
        self.seen().len()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Wire {
    /// The body, of an answer with a length.
    pub(crate) fn json(&self) -> Value {
        let (_, body) = self.0.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} {self:?}"))
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.0.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// An application around a handler, and what reaches the handler.
pub(crate) fn echoing(app: impl FnOnce(MethodRouter) -> Router) -> (Router, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let noted = Arc::clone(&seen);
    let handler = async move |request: Request| {
        let (parts, body) = request.into_parts();
        let seen = Seen {
            client: parts.extensions.get().copied(),
            decision: parts.extensions.get().cloned(),
            body: to_bytes(body, usize::MAX).await.unwrap(),
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
        };
        noted.lock().unwrap().push(seen);
        APPLICATION
    };
    (app(any(handler)), seen)
}

/// Calls an application without a socket before it.
pub(crate) async fn call(app: &Router, request: Request) -> Response<Body> {
    app.clone().call(request).await.unwrap_or_else(|never| match never {})
}

/// A layer that asks whom it finds there.
pub(crate) fn layer(url: &str) -> EnforceLayer {
    EnforceLayer::new(guard(url))
}

/// What a sandbox was asked.
pub(crate) fn asked(sandbox: &Sandbox) -> Vec<Value> {
    bodies(sandbox, Operation::CheckMitigation)
}

/// The events that a sandbox got, once there are so many.
pub(crate) async fn events(sandbox: &Sandbox, count: u64) -> Vec<Value> {
    sandbox.wait_for_events(count, Duration::from_secs(20)).await.unwrap();
    bodies(sandbox, Operation::SendBeaconEvent)
}

fn bodies(sandbox: &Sandbox, operation: Operation) -> Vec<Value> {
    let requests = sandbox.requests();
    let requests = requests.iter().filter(|request| request.operation() == Some(operation));
    requests.map(|request| request.body().expect("a body").clone()).collect()
}

pub(crate) const APPLICATION: &str = "from the application";
