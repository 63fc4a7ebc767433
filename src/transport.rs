//! Where every request passes: it gets its server and its key, and goes through the stack.
//!
//! The stack: [`retry`] decides about attempts and waits, reqwest sends, and [`body`] reads the
//! whole answer within the attempt.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use http::Extensions;
use progenitor_client::{ClientHooks, ClientInfo, Error, OperationInfo};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tracing::{Instrument, debug_span};

use crate::call::CallState;
use crate::generated::Client;
use crate::key::ApiKey;
use crate::operation::{OPERATIONS, Operation, Server};
use crate::stats::Counters;
use crate::{EsperConfig, EsperError, TraceContext};

mod backoff;
mod body;
pub(crate) mod failure;
#[cfg(test)]
mod fleet;
mod http_client;
mod limits;
mod names;
mod retry;
pub(crate) mod retry_after;

pub(crate) use backoff::Backoff;
pub(crate) use limits::CallLimits;

/// What all clones of a client share.
pub(crate) struct Transport {
    pub(crate) key: ApiKey,
    /// The limits of a call, unless it has others.
    pub(crate) limits: CallLimits,
    pub(crate) counters: Counters,
    /// The generated code builds its requests with it, and sends none of them.
    pub(crate) request_factory: reqwest::Client,
    routes: Vec<Route>,
}

/// Where and how the requests of one operation are sent.
struct Route {
    operation: &'static Operation,
    base: Url,
    /// The base with the operation's path behind it.
    url: Url,
    key_name: HeaderName,
    key_value: HeaderValue,
    stack: ClientWithMiddleware,
}

/// What the stack knows of the request that passes through it.
#[derive(Clone)]
struct RequestContext {
    operation: &'static Operation,
    call: Arc<CallState>,
}

impl Transport {
    pub(crate) fn new(config: &EsperConfig) -> Result<Self, EsperError> {
        Self::with_stack(config, |client| ClientBuilder::new(client).with(retry::Retry::new()))
    }

    /// With the stack that is made on a server's client.
    fn with_stack(
        config: &EsperConfig,
        stack: impl Fn(reqwest::Client) -> ClientBuilder,
    ) -> Result<Self, EsperError> {
        config.key.check()?;
        let limits = CallLimits::new(config)?;
        let clients = http_client::Clients::new(config)?;
        let stack = |server| stack(clients.of(server)).build();
        // A stack for each server, with a budget of its own: an outage of one is not the other's.
        let (api, beacon) = (stack(Server::Api), stack(Server::Beacon));
        let route = |operation: &'static Operation| {
            let stack = match operation.server {
                Server::Api => &api,
                Server::Beacon => &beacon,
            };
            let base = config.base_url(operation.server)?;
            Ok(Route {
                operation,
                url: join_path(&base, operation.path),
                base,
                key_name: HeaderName::from_static(operation.key.name),
                key_value: config.key.header(operation.key.prefix)?,
                stack: stack.clone(),
            })
        };
        Ok(Self {
            key: config.key.clone(),
            limits,
            counters: Counters::default(),
            request_factory: clients.of(Server::Api),
            routes: OPERATIONS.iter().map(route).collect::<Result<_, EsperError>>()?,
        })
    }

    fn route(&self, info: &OperationInfo) -> &Route {
        let route = self.routes.iter().find(|route| route.operation.id == info.operation_id);
        route.expect("build.rs makes the bindings and the table from one document")
    }

    async fn send(
        &self,
        mut request: Request,
        route: &Route,
        call: &Arc<CallState>,
    ) -> reqwest::Result<Response> {
        *request.url_mut() = route.url(request.url());
        request.headers_mut().insert(route.key_name.clone(), route.key_value.clone());
        if let Some(trace) = TraceContext::current() {
            trace.put_into(request.headers_mut());
        }
        let mut extensions = Extensions::new();
        extensions.insert(RequestContext { operation: route.operation, call: Arc::clone(call) });
        match route.stack.execute_with_extensions(request, &mut extensions).await {
            Ok(response) => Ok(response),
            Err(reqwest_middleware::Error::Reqwest(error)) => Err(error),
            Err(reqwest_middleware::Error::Middleware(error)) => {
                unreachable!("our middlewares answer with responses and reqwest errors: {error}")
            }
        }
    }
}

impl Route {
    /// The URL of a request: the generated path behind the base of its server.
    fn url(&self, generated: &Url) -> Url {
        // A path without parameters is always the same.
        let mut url = if generated.path() == self.operation.path {
            self.url.clone()
        } else {
            join_path(&self.base, generated.path())
        };
        if generated.query().is_some() {
            url.set_query(generated.query());
        }
        url
    }
}

impl ClientHooks<Arc<CallState>> for Client {
    /// Refuses a request that a parameter leads to another operation.
    async fn pre<E>(&self, request: &mut Request, info: &OperationInfo) -> Result<(), Error<E>> {
        let operation = self.inner().transport.route(info).operation;
        if operation.has_path(request.url().path()) {
            Ok(())
        } else {
            Err(Error::InvalidRequest("a parameter is no part of a path".to_owned()))
        }
    }

    async fn exec(&self, request: Request, info: &OperationInfo) -> reqwest::Result<Response> {
        let call = self.inner();
        let transport = &call.transport;
        let route = transport.route(info);
        call.note_operation(route.operation);
        let span = debug_span!("esper.call", operation = info.operation_id);
        // Pinned here, it is not moved into the span: it is large.
        pin!(transport.send(request, route, call)).instrument(span).await
    }

    /// Notes the status before the body is parsed, and refuses a success that was not read.
    async fn post<E>(
        &self,
        result: &reqwest::Result<Response>,
        _: &OperationInfo,
    ) -> Result<(), Error<E>> {
        let Ok(response) = result else { return Ok(()) };
        self.inner().note_status(response.status());
        match response.extensions().get::<body::Unread>() {
            Some(why) if response.status().is_success() => Err(Error::Custom(why.to_string())),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |server| {
            let route = self.routes.iter().find(|route| route.operation.server == server);
            route.map(|route| self.key.redacted(route.base.as_str()))
        };
        f.debug_struct("Transport")
            .field("api_url", &url(Server::Api))
            .field("beacon_url", &url(Server::Beacon))
            .field("timeout", &self.limits.timeout)
            .finish_non_exhaustive()
    }
}

fn join_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}
