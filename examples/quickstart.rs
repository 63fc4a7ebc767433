//! The whole loop of Esper, against the sandbox: no account, no network.
//!
//! ```sh
//! cargo run --example quickstart
//! ```
//!
//! With `ESPER_API_KEY`, `ESPER_API_URL` and `ESPER_BEACON_URL` set it talks to that service
//! instead, and sends it one event in place of the bursts.

use std::env;
use std::error::Error;

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, EsperConfig, EsperError, MitigationAction, MitigationRequest,
    MitigationResponse,
};
use esper_sandbox::{Sandbox, solve_proof_of_work};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if ["ESPER_API_KEY", "ESPER_API_URL", "ESPER_BEACON_URL"].iter().all(set) {
        return with_a_service().await;
    }

    let sandbox = Sandbox::start().await;
    println!("A sandbox listens on {}. It learns from what follows.", sandbox.url());
    let config = EsperConfig::new(sandbox.api_key())
        .with_api_url(sandbox.url())
        .with_beacon_url(sandbox.url());
    let client = AsyncEsperClient::new(config)?;
    let visitor = Visitor { ip: "203.0.113.7", user_agent: "Mozilla/5.0 (X11; Linux x86_64)" };
    let scraper = Visitor { ip: "198.51.100.9", user_agent: "python-requests/2.32" };

    chapter("An ordinary visitor opens a page: 40 requests in a moment");
    send(&client, &visitor, 40).await?;
    check(&client, &visitor).await?;

    chapter("The same visitor becomes hasty: 30 more");
    send(&client, &visitor, 30).await?;
    let challenged = check(&client, &visitor).await?;

    chapter("The visitor's browser solves the challenge");
    solve(&client, &challenged).await?;
    check(&client, &visitor).await?;

    chapter("A scraper takes the whole shop: 220 requests");
    send(&client, &scraper, 220).await?;
    check(&client, &scraper).await?;
    println!("  and the ordinary visitor?");
    check(&client, &visitor).await?;

    chapter("What the key has used");
    usage(&client).await?;
    sandbox.stop().await;
    Ok(())
}

/// Somebody who visits the application.
struct Visitor {
    ip: &'static str,
    user_agent: &'static str,
}

/// Reports requests that the application answered, as it would do after each of them.
async fn send(client: &AsyncEsperClient, visitor: &Visitor, count: u32) -> Result<(), EsperError> {
    let event = BeaconEvent::new("http_request")
        .with_ip(visitor.ip)
        .with_user_agent(visitor.user_agent)
        .with_path("/shop")
        .with_method("GET");
    for _ in 0..count {
        client.send_beacon_event(&event).await?;
    }
    println!("  {count} beacon events from {} arrived", visitor.ip);
    Ok(())
}

/// Asks about the visitor's next request, and shows what an application would do.
async fn check(
    client: &AsyncEsperClient,
    visitor: &Visitor,
) -> Result<MitigationResponse, EsperError> {
    let request = MitigationRequest::new(visitor.ip)
        .with_user_agent(visitor.user_agent)
        .with_path("/checkout")
        .with_method("POST");
    let response = client.check_mitigation(&request).await?;
    let deed = match response.action {
        MitigationAction::Allow => "allow: on to the handler",
        MitigationAction::Challenge => "challenge: answered with 429 and the challenge",
        MitigationAction::Block => "block: answered with 403",
    };
    let score = response.score.unwrap_or_default();
    let reason = response.reason.as_deref().unwrap_or("nothing known against it");
    println!("  {:<13} {deed} (score {score}, {reason})", visitor.ip);
    Ok(response)
}

/// Does what the visitor's browser would do, and has the answer verified.
async fn solve(
    client: &AsyncEsperClient,
    response: &MitigationResponse,
) -> Result<(), Box<dyn Error>> {
    let challenge = response.open_challenge().ok_or("the visitor was not challenged")?;
    let salt = challenge.params["salt"].as_str().ok_or("the challenge has no salt")?;
    let difficulty = challenge.params["difficulty"].as_u64().ok_or("it has no difficulty")?;
    let nonce = solve_proof_of_work(salt, u8::try_from(difficulty)?);
    println!("  {} with {difficulty} zero bits: nonce {nonce}", challenge.type_);
    let wrong = client.verify_challenge(&challenge.token, "a guess").await?;
    let right = client.verify_challenge(&challenge.token, &nonce).await?;
    let again = client.verify_challenge(&challenge.token, &nonce).await?;
    println!("  verified: a guess {wrong}, the answer {right}, the same answer again {again}");
    Ok(())
}

async fn usage(client: &AsyncEsperClient) -> Result<(), EsperError> {
    let usage = client.get_usage().await?;
    println!(
        "  {} decisions in {}: {} allowed, {} challenged, {} blocked",
        usage.requests, usage.period, usage.allowed, usage.challenged, usage.blocked
    );
    Ok(())
}

async fn with_a_service() -> Result<(), Box<dyn Error>> {
    let client = AsyncEsperClient::new(EsperConfig::from_env()?)?;
    let visitor = Visitor { ip: "203.0.113.7", user_agent: "Mozilla/5.0 (X11; Linux x86_64)" };

    chapter("One event, and a decision");
    send(&client, &visitor, 1).await?;
    check(&client, &visitor).await?;

    chapter("What the key has used");
    usage(&client).await?;
    Ok(())
}

fn chapter(title: &str) {
    println!("\n{title}");
}
