//! A shop behind the layer, to look at in a browser: no account, no network beyond this machine.
//! With `ESPER_API_KEY` in the environment, it asks Esper instead of a sandbox.
//!
//! ```sh
//! cargo run --features metrics,tower --example axum           # on http://127.0.0.1:3000
//! cargo run --features metrics,tower --example axum -- 8080   # on another port; 0 is any free one
//! ```

use std::env;
use std::error::Error;
use std::future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Router, serve};
use esper_rs_client::enforce::{ClientIp, EnforceLayer};
use esper_rs_client::{AsyncEsperClient, Decision, EsperConfig};
use esper_sandbox::Sandbox;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let port = env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let url = format!("http://{}", listener.local_addr()?);

    // Your application has EsperConfig::from_env() alone.
    let (config, sandbox) = match env::var_os("ESPER_API_KEY") {
        Some(_) => (EsperConfig::from_env()?, None),
        None => {
            let sandbox = Sandbox::start().await;
            let config = EsperConfig::new(sandbox.api_key())
                .with_api_url(sandbox.url())
                .with_beacon_url(sandbox.url());
            (config, Some(sandbox))
        }
    };
    let client = AsyncEsperClient::new(config)?;

    // What is counted, for a scrape of Prometheus.
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    esper_rs_client::metrics::describe();
    tokio::spawn(keep_up(recorder.clone()));

    // This is the whole integration: the layer asks about each request, acts on the decision, and
    // tells Esper what became of it.
    let mut enforce = EnforceLayer::new(client.clone());
    if sandbox.is_none() {
        // So that Esper can show a challenge on a page of its own. The sandbox would do so too, and
        // there would be nothing to see of the layer's.
        enforce = enforce.with_public_origin(url.parse()?);
    }
    let shop = Router::new()
        .route("/", get(page))
        .route("/price", get(price))
        .route("/order", post(order))
        .with_state(sandbox.as_ref().map(|sandbox| sandbox.url().to_owned()))
        .layer(enforce)
        // After the layer, so that it is not asked about. Yours is better on a port of its own.
        .route("/metrics", get(async move || recorder.render()));

    println!("The shop is open:      {url}");
    if let Some(sandbox) = &sandbox {
        println!("What the sandbox sees: {}", sandbox.url());
    }
    println!("What is counted:       {url}/metrics");
    println!("Open the shop in a browser, and press its buttons. Ctrl-C ends it.");

    // With the address of each connection: it is whom the layer asks about.
    serve(listener, shop.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stopped())
        .await?;

    // The last events are still on their way.
    client.beacons().shutdown(Duration::from_secs(5)).await;
    let events = client.beacons().stats();
    let lost = events.dropped.total();
    println!(
        "Closed. Of {} events {} were delivered, {lost} lost.",
        events.accepted, events.delivered
    );
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    Ok(())
}

/// The recorder keeps each duration until it sums them up.
async fn keep_up(recorder: PrometheusHandle) {
    loop {
        sleep(Duration::from_secs(5)).await;
        recorder.run_upkeep();
    }
}

/// A handler may ask for the decision that let its visitor in, and for the visitor's address.
async fn page(
    State(sandbox): State<Option<String>>,
    decision: Decision,
    client: ClientIp,
) -> Html<String> {
    let link = |url| format!("<p><a href=\"{url}\">What the sandbox sees</a></p>");
    let sandbox = sandbox.map(link).unwrap_or_default();
    let visit = format!("Allowed by: {}. You are {client}.", decision.source.as_str());
    let page = include_str!("axum/shop.html");
    Html(page.replace("{{visit}}", &visit).replace("{{sandbox}}", &sandbox))
}

/// What a scraper is after.
async fn price() -> &'static str {
    "4.20"
}

#[derive(Deserialize)]
struct Order {
    loaves: u32,
}

async fn order(Form(order): Form<Order>) -> Html<String> {
    let thanks = format!("Thank you for your order of {} loaves.", order.loaves);
    Html(include_str!("axum/thanks.html").replace("{{thanks}}", &thanks))
}

/// Ends with Ctrl-C, and where a container is stopped.
async fn stopped() {
    #[cfg(unix)]
    let terminated = async {
        // Where a signal cannot be waited for, the default of the system ends the process.
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut signals) => _ = signals.recv().await,
            Err(_) => future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = future::pending::<()>();
    let interrupted = async {
        if signal::ctrl_c().await.is_err() {
            future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

/// Upper bounds of durations, in seconds: a decision takes 300 ms at most.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 1.0, 5.0];
