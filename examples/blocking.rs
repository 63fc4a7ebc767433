//! The synchronous client, in the few lines that a handler needs.
//!
//! ```sh
//! cargo run --example blocking
//! ```

use std::error::Error;

use esper_rs_client::{
    BeaconEvent, EsperClient, EsperConfig, EsperError, MitigationAction, MitigationRequest,
    StatusCode,
};
use esper_sandbox::Sandbox;

fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start_blocking();
    let config = EsperConfig::new(sandbox.api_key())
        .with_api_url(sandbox.url())
        .with_beacon_url(sandbox.url());
    let client = EsperClient::new(config)?;

    println!("a first visit is answered with {}", handle(&client, "203.0.113.7"));
    for _ in 0..61 {
        client.send_beacon_event(&BeaconEvent::new("http_request").with_ip("203.0.113.7"))?;
    }
    println!("after a burst it is {}", handle(&client, "203.0.113.7"));
    println!("an address that is none: {}", handle(&client, "not an address"));
    Ok(())
}

/// Answers a visitor as the family's examples do: an error is logged, and lets the visitor in.
/// What a visitor could bring about, an address that is none, is not such an error.
fn handle(client: &EsperClient, ip: &str) -> StatusCode {
    let decision = client.check_mitigation(&MitigationRequest::new(ip).with_path("/login"));
    match decision.map(|decision| decision.action) {
        Ok(MitigationAction::Allow) => StatusCode::OK,
        Ok(MitigationAction::Challenge) => StatusCode::TOO_MANY_REQUESTS,
        Ok(MitigationAction::Block) => StatusCode::FORBIDDEN,
        Err(EsperError::Validation { .. }) => StatusCode::BAD_REQUEST,
        Err(error) => {
            eprintln!("{error}");
            StatusCode::OK
        }
    }
}
