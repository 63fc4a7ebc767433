//! `GET /v1/usage`: how many decisions a key received in the current month.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::http::auth::Bearer;
use crate::service::Service;
use crate::wire::UsageStats;

pub(super) async fn get_usage(
    State(service): State<Arc<Service>>,
    Bearer(key): Bearer,
) -> Json<UsageStats> {
    let (counts, period) = service.usage(key);
    Json(UsageStats {
        requests: counts.requests(),
        blocked: counts.blocked,
        challenged: counts.challenged,
        allowed: counts.allowed,
        period: period.to_string(),
    })
}
