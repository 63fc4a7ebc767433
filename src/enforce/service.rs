//! The service that stands in front of another one.

use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use super::answers::body::EnforceBody;
use super::endpoint;
use super::judge::{Course, Judged};
use super::request::visit::Visit;
use super::rule::is_preflight;
use super::shared::Shared;
use super::telemetry::PendingEvent;
use crate::{TraceContext, metrics};

/// A service behind an [`EnforceLayer`](super::EnforceLayer).
///
/// It is ready when the inner service is. The inner service is not called for a request that is
/// refused; the body of a request is neither read nor changed.
#[derive(Clone, Debug)]
pub struct Enforce<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Enforce<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Enforce<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    ReqBody: Body + Send + 'static,
    ReqBody::Data: Send,
    ReqBody::Error: Into<BoxError> + Send,
    ResBody: Send + 'static,
{
    type Response = Response<EnforceBody<ResBody>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let next = self.inner.clone();
        // The one that is ready, not its clone.
        let ready = mem::replace(&mut self.inner, next);
        Box::pin(handle(ready, Arc::clone(&self.shared), request))
    }
}

async fn handle<S, ReqBody, ResBody>(
    mut inner: S,
    shared: Arc<Shared>,
    request: Request<ReqBody>,
) -> Result<Response<EnforceBody<ResBody>>, S::Error>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body,
    ReqBody::Error: Into<BoxError>,
{
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    strip_reserved_headers(&mut parts.headers);
    let client = shared.client_ip.find((shared.peer)(&parts.extensions), &parts.headers);
    parts.extensions.insert(client);
    let trace = trace_of(&parts);
    let visit = Visit {
        parts: &parts,
        address: client.address(),
        origin: shared.origin.as_ref(),
        is_preflight: is_preflight(&parts, body.is_end_stream()),
    };
    if let Some(name) = shared.own_path(&parts) {
        // With it goes the place that it may have taken behind a limit on concurrency.
        drop(inner);
        let own = endpoint::answer(&shared, visit, name, body);
        let own = TraceContext::scope_if(trace, own).await;
        return Ok(EnforceBody::own(own));
    }
    let rule = shared.rule_of(&parts);
    let facts = shared.facts(&parts, &client, rule);
    let mut event = PendingEvent::of(shared.telemetry.as_deref(), facts, rule.mode, started);
    // Pinned here, it is not moved into the scope of the trace: it is large.
    let Judged { decision, course } =
        TraceContext::scope_if(trace.clone(), pin!(shared.judge(visit, event.facts(), rule))).await;
    metrics::request(&decision, rule.mode);
    event.note(&decision);
    let result = match course {
        Course::On => {
            parts.extensions.insert(decision);
            inner.call(Request::from_parts(parts, body)).await.map(EnforceBody::inner)
        }
        Course::Answered(answer) => Ok(EnforceBody::own(answer)),
        Course::Returned(proof) => {
            drop(inner);
            let returned = shared.returned(&decision, &proof, visit);
            Ok(EnforceBody::own(TraceContext::scope_if(trace, returned).await))
        }
    };
    event.end(result.as_ref().ok().map(Response::status));
    result
}

/// The trace that a request is a part of: what the application says, or else the visitor.
fn trace_of(parts: &Parts) -> Option<TraceContext> {
    let told = parts.extensions.get::<TraceContext>().cloned();
    told.or_else(TraceContext::current).or_else(|| TraceContext::from_headers(&parts.headers))
}

/// What only Esper and this layer may say of a request.
fn strip_reserved_headers(headers: &mut HeaderMap) {
    let ours = |name: &str| name.starts_with("x-esper-");
    if headers.keys().any(|name| ours(name.as_str())) {
        let names = headers.keys().filter(|name| ours(name.as_str())).cloned();
        for name in names.collect::<Vec<_>>() {
            headers.remove(name);
        }
    }
}
