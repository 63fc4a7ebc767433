//! A site whose API is watched only: what Esper would have done is logged and counted, and every
//! request gets through. Its other paths are enforced.
//!
//! ```sh
//! cargo run --features tower --example monitor
//! ```

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::routing::get;
use axum::{Router, serve};
use esper_rs_client::enforce::{ClientIp, EnforceLayer, Rule};
use esper_rs_client::{AsyncEsperClient, Decision, EsperConfig, StatusCode};
use esper_sandbox::Sandbox;
use tokio::net::TcpListener;
use tracing::info;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().without_time().with_target(false).init();
    let sandbox = Sandbox::start().await;
    let config = EsperConfig::new(sandbox.api_key())
        .with_api_url(sandbox.url())
        .with_beacon_url(sandbox.url());
    let client = AsyncEsperClient::new(config)?;

    let layer = EnforceLayer::new(client.clone()).with_paths_below("/api", Rule::monitor())?;
    let guard = layer.guard().clone();
    let app = Router::new()
        .route("/", get(async || "the front page"))
        .route("/api/stock", get(stock))
        .layer(layer);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let site = format!("http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { serve(listener, app).await });

    println!("A program asks for the stock 70 times:");
    let http = reqwest::Client::builder().user_agent("a-scraper/1.0").no_proxy().build()?;
    let mut passed = 0;
    for asked in 1..=70 {
        let answer = http.get(format!("{site}/api/stock")).send().await?;
        passed += u32::from(answer.status() == StatusCode::OK);
        // The layer does not wait for Esper to learn of a request. This example does.
        sandbox.wait_for_events(asked, Duration::from_secs(5)).await?;
    }
    println!("{passed} of its requests got through.");
    let enforced = http.get(&site).send().await?;
    println!("The front page, which is enforced, answers it with {}.", enforced.status());

    let stats = guard.stats();
    println!(
        "Of {} decisions, {} came from the service and {} from the failure policy.",
        stats.decisions,
        stats.by_service,
        stats.fallbacks.total()
    );
    let usage = client.get_usage().await?;
    println!(
        "By the service's own count, {} were allowed, {} challenged and {} blocked.",
        usage.allowed, usage.challenged, usage.blocked
    );

    server.abort();
    let report = client.beacons().shutdown(Duration::from_secs(5)).await;
    println!("All events are delivered: {}.", report.is_complete());
    sandbox.stop().await;
    Ok(())
}

/// Says what would have been done, and does what it always did.
async fn stock(decision: Decision, client: ClientIp) -> &'static str {
    if !decision.is_allowed() {
        let reason = decision.response().and_then(|response| response.reason.as_deref());
        info!(action = %decision.action, reason, %client, "it would not have got through");
    }
    "12 loaves"
}
