//! HTTP: connections, routes, and how bodies, refusals and pages look.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod connections;
pub(crate) mod error;
pub(crate) mod host;
pub(crate) mod html;
pub(crate) mod log;
pub(crate) mod methods;
pub(crate) mod public_url;
pub(crate) mod routes;
pub(crate) mod same_origin;
pub(crate) mod server;
