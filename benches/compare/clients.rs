//! The clients that are compared, each made and asked in its own way.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use bytes::Bytes;
use esper_rs_client::enforce::{Enforce, EnforceLayer};
use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, Beacons, Decision, DecisionSource, EsperClient, EsperConfig,
    Guard, MitigationRequest, MitigationResponse,
};
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::Empty;
use reqwest::{Certificate, RequestBuilder};
use tower::util::ServiceFn;
use tower::{Layer, ServiceExt, service_fn};

use super::bare::Hyper;
use super::generated::{self, call::CallState, types};
use super::server::{Protocol, Server};
use crate::support::{KEY, Outcome};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hyper,
    Reqwest,
    /// With a time for each request, without which nobody should call a service.
    ReqwestInTime,
    Generated,
    Async,
    Sync,
    Guard,
    Layer,
    LayerWithEvents,
}

/// A client that is ready to be asked.
pub(crate) enum Client {
    Hyper(Hyper),
    Reqwest { client: reqwest::Client, base: Arc<str>, timeout: Option<Duration> },
    Generated(generated::Client),
    Async(AsyncEsperClient),
    Sync(EsperClient),
    Guard(Guard),
    Layer { service: Site, beacons: Beacons },
}

type Site =
    Enforce<ServiceFn<fn(Request<Empty<Bytes>>) -> Ready<Result<Response<()>, Infallible>>>>;

/// What all of them ask and tell.
pub(crate) struct Payloads {
    pub(crate) request: MitigationRequest,
    pub(crate) event: BeaconEvent,
    of_generated: (types::MitigationRequest, types::BeaconEvent),
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hyper,
        Self::Reqwest,
        Self::ReqwestInTime,
        Self::Generated,
        Self::Async,
        Self::Sync,
        Self::Guard,
        Self::Layer,
        Self::LayerWithEvents,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hyper => "bare hyper, serde_json",
            Self::Reqwest => "bare reqwest, serde",
            Self::ReqwestInTime => "bare reqwest, a timeout",
            Self::Generated => "the generated client alone",
            Self::Async => "`AsyncEsperClient`",
            Self::Sync => "`EsperClient`",
            Self::Guard => "`Guard`",
            Self::Layer => "`EnforceLayer`, no events",
            Self::LayerWithEvents => "`EnforceLayer`, an event each",
        }
    }

    /// Makes one, in the runtime where it is to be asked.
    pub(crate) async fn client(self, server: &Server, protocol: Protocol) -> Outcome<Client> {
        let sdk = || {
            let url = server.url(protocol);
            let config = EsperConfig::new(KEY)
                .with_api_url(url)
                // Events stay in the clear, so that those of the layer are no connection of the calls.
                .with_beacon_url(server.url(Protocol::Http1));
            match protocol {
                Protocol::Http1 => config,
                Protocol::Http2 => config.with_root_certificate(server.certificate.as_str()),
            }
        };
        // Patient and wide enough for every call to be answered by the service.
        let guard = |client| Guard::new(client).with_deadline(PATIENCE).with_max_in_flight(1024);
        Ok(match self {
            Self::Hyper => Client::Hyper(Hyper::connect(server, protocol).await?),
            Self::Reqwest | Self::ReqwestInTime => {
                let base = server.url(protocol).into();
                let timeout = (self == Self::ReqwestInTime).then_some(PATIENCE);
                Client::Reqwest { client: reqwest(server, protocol)?, base, timeout }
            }
            Self::Generated => {
                let call = CallState {
                    bearer: HeaderValue::from_str(&format!("Bearer {KEY}"))?,
                    key: HeaderValue::from_static(KEY),
                };
                Client::Generated(generated::Client::new_with_client(
                    &server.url(protocol),
                    reqwest(server, protocol)?,
                    Arc::new(call),
                ))
            }
            Self::Async => Client::Async(AsyncEsperClient::new(sdk())?),
            Self::Sync => Client::Sync(EsperClient::new(sdk())?),
            Self::Guard => Client::Guard(guard(AsyncEsperClient::new(sdk())?)),
            Self::Layer | Self::LayerWithEvents => {
                let client = AsyncEsperClient::new(sdk())?;
                let beacons = client.beacons();
                let share = if self == Self::Layer { 0.0 } else { 1.0 };
                let layer = EnforceLayer::new(guard(client)).with_telemetry_share(share);
                let inner = service_fn(application as fn(_) -> _);
                Client::Layer { service: layer.layer(inner), beacons }
            }
        })
    }
}

impl Client {
    /// One more for another caller: a clone, or a connection where callers cannot share one.
    pub(crate) async fn another(&self, server: &Server, protocol: Protocol) -> Outcome<Self> {
        Ok(match self {
            Self::Hyper(hyper) => Self::Hyper(match hyper.shared() {
                Some(shared) => shared,
                None => Hyper::connect(server, protocol).await?,
            }),
            Self::Reqwest { client, base, timeout } => {
                Self::Reqwest { client: client.clone(), base: Arc::clone(base), timeout: *timeout }
            }
            Self::Generated(client) => Self::Generated(client.clone()),
            Self::Async(client) => Self::Async(client.clone()),
            Self::Sync(client) => Self::Sync(client.clone()),
            Self::Guard(guard) => Self::Guard(guard.clone()),
            Self::Layer { service, beacons } => {
                Self::Layer { service: service.clone(), beacons: beacons.clone() }
            }
        })
    }

    /// Asks, and fails unless the server says to let the request through.
    pub(crate) async fn decide(&mut self, payloads: &Payloads) -> Outcome<()> {
        let allowed = match self {
            Self::Hyper(hyper) => {
                let body = hyper.post("/v1/mitigate", &payloads.request).await?;
                serde_json::from_slice::<MitigationResponse>(&body)?.is_allowed()
            }
            Self::Reqwest { client, base, timeout } => {
                let request = client.post(format!("{base}/v1/mitigate")).bearer_auth(KEY);
                let request = in_time(request, *timeout);
                let response = request.json(&payloads.request).send().await?.error_for_status()?;
                response.json::<MitigationResponse>().await?.is_allowed()
            }
            Self::Generated(client) => {
                let answer = client.check_mitigation(&payloads.of_generated.0).await?;
                answer.into_inner().action == types::MitigationAction::Allow
            }
            Self::Async(client) => client.check_mitigation(&payloads.request).await?.is_allowed(),
            // It blocks this thread; it has one of its own for the connection.
            Self::Sync(client) => client.check_mitigation(&payloads.request)?.is_allowed(),
            Self::Guard(guard) => {
                let decision = guard.decide(&payloads.request).await;
                decision.is_allowed() && decision.source == DecisionSource::Service
            }
            Self::Layer { service, .. } => {
                let mut request = Request::post("https://shop.example/checkout")
                    .header(USER_AGENT, HeaderValue::from_static(BROWSER))
                    .body(Empty::new())?;
                request.extensions_mut().insert(ConnectInfo(SocketAddr::from(VISITOR)));
                service.clone().oneshot(request).await?.status().is_success()
            }
        };
        if allowed { Ok(()) } else { Err("no allow of the service".into()) }
    }

    /// Sends an event and waits until it was taken; returns false where a client sends none.
    pub(crate) async fn tell(&mut self, payloads: &Payloads) -> Outcome<bool> {
        match self {
            Self::Hyper(hyper) => drop(hyper.post("/v1/events", &payloads.event).await?),
            Self::Reqwest { client, base, timeout } => {
                let request = client.post(format!("{base}/v1/events")).header("X-Esper-Key", KEY);
                let request = in_time(request, *timeout);
                let response = request.json(&payloads.event).send().await?.error_for_status()?;
                drop(response.bytes().await?);
            }
            Self::Generated(client) => {
                drop(client.send_beacon_event(None, &payloads.of_generated.1).await?);
            }
            Self::Async(client) => client.send_beacon_event(&payloads.event).await?,
            Self::Sync(client) => client.send_beacon_event(&payloads.event)?,
            Self::Guard(_) | Self::Layer { .. } => return Ok(false),
        }
        Ok(true)
    }

    /// Waits until the events that decisions have left behind are delivered.
    pub(crate) fn settle(&self) {
        if let Self::Layer { beacons, .. } = self {
            assert!(beacons.flush_blocking(PATIENCE).is_complete(), "{:?}", beacons.stats());
        }
    }
}

impl Payloads {
    pub(crate) fn new() -> Outcome<Self> {
        let request = MitigationRequest::new("203.0.113.7")
            .with_user_agent(BROWSER)
            .with_path("/checkout")
            .with_method("POST");
        let event = BeaconEvent::new("http_request")
            .with_ip("203.0.113.7")
            .with_user_agent(BROWSER)
            .with_path("/checkout")
            .with_method("POST")
            .with_timestamp(1_700_000_000_000);
        let of_generated = (
            serde_json::from_value(serde_json::to_value(&request)?)?,
            serde_json::from_value(serde_json::to_value(&event)?)?,
        );
        Ok(Self { request, event, of_generated })
    }
}

fn in_time(request: RequestBuilder, timeout: Option<Duration>) -> RequestBuilder {
    match timeout {
        Some(timeout) => request.timeout(timeout),
        None => request,
    }
}

/// reqwest as it comes, without what the tests of this crate turn on.
fn reqwest(server: &Server, protocol: Protocol) -> Outcome<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().no_gzip();
    Ok(match protocol {
        Protocol::Http1 => builder,
        Protocol::Http2 => {
            builder.tls_certs_only([Certificate::from_pem(server.certificate.as_bytes())?])
        }
    }
    .build()?)
}

/// What stands behind the layer, and answers at once.
fn application(request: Request<Empty<Bytes>>) -> Ready<Result<Response<()>, Infallible>> {
    let decision = request.extensions().get::<Decision>();
    let asked = decision.is_some_and(|decision| decision.source == DecisionSource::Service);
    assert!(asked, "a fallback decided: {decision:?}");
    ready(Ok(Response::new(())))
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const VISITOR: ([u8; 4], u16) = ([203, 0, 113, 7], 40_000);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
