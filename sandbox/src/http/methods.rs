//! Answer the methods that a path has, and refuse all others.

use std::sync::Arc;

use axum::routing::MethodRouter;

use crate::http::error::ApiError;
use crate::service::Service;

/// Refuses every other method than those that are named, HEAD among them: it would be answered as
/// a GET is.
pub(crate) fn only(
    allowed: &'static str,
    methods: MethodRouter<Arc<Service>>,
) -> MethodRouter<Arc<Service>> {
    let refuse = move || async move { ApiError::method_not_allowed(allowed) };
    methods.head(refuse).fallback(refuse)
}
