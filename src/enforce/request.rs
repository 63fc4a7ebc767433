//! What a request says, and which of it is believed or told.

pub(super) mod client_ip;
pub(super) mod cookies;
pub(super) mod facts;
pub(super) mod return_to;
pub(super) mod session;
pub(super) mod visit;
