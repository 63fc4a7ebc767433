//! What the services of one layer share.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};

use axum::extract::ConnectInfo;
use axum::extract::connect_info::MockConnectInfo;
use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, Response};

use super::answers::answer::Denial;
use super::cache::DecisionCache;
use super::path::PathRules;
use super::public_origin::PublicOrigin;
use super::request::client_ip::ClientIpRules;
use super::request::facts::Disclosure;
use super::rule::Rule;
use super::signed::secrets::Secrets;
use super::telemetry::Telemetry;
use super::verifications::Verifications;
use crate::Guard;

/// The options of a layer, and the state behind them.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) guard: Guard,
    pub(super) rule: Option<RuleFn>,
    pub(super) paths: PathRules<Rule>,
    pub(super) client_ip: ClientIpRules,
    pub(super) peer: PeerFn,
    pub(super) disclosure: Disclosure,
    pub(super) cache: Option<DecisionCache>,
    pub(super) secrets: Secrets,
    pub(super) origin: Option<PublicOrigin>,
    pub(super) endpoint: String,
    pub(super) response: Option<ResponseFn>,
    pub(super) telemetry: Option<Arc<Telemetry>>,
    pub(super) verifications: Arc<Verifications>,
    /// For an `Origin` that is not the host's.
    pub(super) origin_warning: Arc<Once>,
}

pub(super) type RuleFn = Arc<dyn Fn(&Parts) -> Option<Rule> + Send + Sync>;
pub(super) type PeerFn = Arc<dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync>;
pub(super) type ResponseFn = Arc<dyn Fn(&Denial<'_>) -> Option<Response<Bytes>> + Send + Sync>;

/// The peer that `into_make_service_with_connect_info::<SocketAddr>` notes, or what an application's
/// test puts in its place. A handler's `ConnectInfo` is found in the same way.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let peer = match extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(peer)) => peer,
        None => &extensions.get::<MockConnectInfo<SocketAddr>>()?.0,
    };
    Some(peer.ip())
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("guard", &self.guard)
            .field("client_ip", &self.client_ip)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
