//! What does not leave the application, and what visitors cannot do to its log.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use esper_rs_client::AsyncEsperClient;
use esper_rs_client::enforce::{EnforceLayer, PublicOrigin, Rule};
use esper_sandbox::{Fault, Operation, Sandbox};
use reqwest::Client;
use serde_json::json;

use super::echo::{Echo, asked, events, layer};
use crate::support::thread_log::ThreadLog;
use crate::support::{Answer, CANARY, RawServer, config, logs, patient, sandbox};

/// Everything that a visitor sends and nobody else must see.
fn secrets() -> Vec<(&'static str, String)> {
    let cookie = format!("sid={CANARY}-sid; theme=dark; __Host-esper_challenge={CANARY}-clearance");
    vec![
        ("authorization", format!("Bearer {CANARY}-bearer")),
        ("proxy-authorization", format!("Basic {CANARY}-basic")),
        ("cookie", cookie),
        ("cookie", format!("second={CANARY}-second")),
        ("x-api-key", format!("{CANARY}-api")),
        ("x-csrf-token", format!("{CANARY}-csrf")),
        ("x-xsrf-token", format!("{CANARY}-xsrf")),
        ("x-auth-token", format!("{CANARY}-auth")),
        ("x-esper-key", format!("{CANARY}-esper")),
        ("x-forwarded-for", format!("{CANARY}-forwarded")),
        ("referer", format!("https://shop.example/?token={CANARY}-referer")),
        ("x-of-the-application", format!("{CANARY}-own")),
    ]
}

const TARGETS: &[&str] = &["/pay?token=", "/?a=b&token=", "//pay?"];

/// Sends secrets in every way, by HTTP/1 and HTTP/2.
async fn confide(echo: &Echo) {
    let secrets = secrets();
    let headers: Vec<_> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let pages = [&headers[..], &[("accept", "text/html")]].concat();
    for target in TARGETS {
        for method in ["GET", "POST", "HEAD"] {
            let line = format!("{method} {target}{CANARY}-query");
            echo.send(&line, &headers).await;
            echo.send(&line, &pages).await;
        }
    }
    let http2 = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = format!("http://{}/pay?token={CANARY}-query", echo.addr);
    let request =
        secrets.iter().fold(http2.get(url), |request, (name, value)| request.header(*name, value));
    request.send().await.unwrap();
    // As a URL has them, of a client that leaves them there.
    let line = format!("GET http://{CANARY}-user:{CANARY}-password@shop.example/pay");
    echo.send(&line, &pages).await;
    // Whoever solves a challenge sends them as well.
    let solution = json!({ "envelope": "x", "response": "y" }).to_string();
    let length = solution.len();
    let mut post = format!(
        "POST /.well-known/esper/challenge?token={CANARY}-query HTTP/1.1\r\nhost: a\r\n\
         connection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in &secrets {
        post += &format!("{name}: {value}\r\n");
    }
    assert_eq!(echo.exchange(format!("{post}\r\n{solution}").as_bytes()).await.status(), 403);
}

/// Everything that the sandbox was sent, with what it does not show: that is looked for in the log
/// alone.
fn told(sandbox: &Sandbox) -> String {
    let requests = sandbox.requests();
    assert!(requests.iter().all(|request| request.method() == "GET" || request.body().is_some()));
    format!("{requests:?}")
}

/// Promise 32. A canary in a line of the log ends the tests.
#[tokio::test]
async fn a_visitors_secrets_are_in_no_decision_request_event_log_line_debug_or_error() {
    let before = logs::seen();
    let sandbox = sandbox().await;
    let client = AsyncEsperClient::new(config(sandbox.url())).unwrap();
    let beacons = client.beacons();
    let denials = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&denials);
    let layer = EnforceLayer::new(patient(client))
        .with_response(move |denial| {
            noted.lock().unwrap().push(format!("{denial:?}"));
            None
        })
        .with_session_cookie("sid")
        .unwrap()
        .with_path("/watched", Rule::monitor())
        .unwrap();
    let echo = Echo::behind(layer.clone()).await;
    confide(&echo).await;
    sandbox.challenge("127.0.0.1");
    confide(&echo).await;
    sandbox.block("127.0.0.1");
    confide(&echo).await;
    for fault in [Fault::status(401), Fault::status(400), Fault::html(200), Fault::reset()] {
        sandbox.faults().clear();
        sandbox.faults().add(fault.on(Operation::CheckMitigation));
        confide(&echo).await;
    }
    beacons.flush(Duration::from_secs(20)).await;
    let told = told(&sandbox);
    assert!(!told.contains(CANARY), "{told}");
    assert!(told.contains("session_id"), "a digest is told");
    for seen in echo.seen() {
        let decision = seen.decision.unwrap();
        let texts = format!("{decision:?} {:?} {:?}", decision.error(), seen.client);
        assert!(!texts.contains(CANARY), "{texts}");
        if let Some(error) = decision.error() {
            assert!(!error.to_string().contains(CANARY), "{error}");
        }
    }
    assert!(echo.calls() > 0);
    let denials = denials.lock().unwrap();
    assert!(!denials.is_empty());
    assert!(!denials.iter().any(|denial| denial.contains(CANARY)), "{denials:?}");
    let debug = format!("{layer:?} {:?} {:?}", layer.guard(), layer.guard().stats());
    assert!(!debug.contains(CANARY), "{debug}");
    assert!(logs::seen() > before, "the log was looked at");
}

/// Promise 32.
#[tokio::test]
async fn headers_are_told_from_a_list_that_takes_no_name_of_a_secret() {
    let sandbox = sandbox().await;
    for secret in [
        "authorization",
        "Cookie",
        "PROXY-AUTHORIZATION",
        "x-api-key",
        "x-csrf-token",
        "set-cookie",
        "not a name",
    ] {
        let error = layer(sandbox.url()).with_headers(["accept", secret]).unwrap_err();
        assert!(error.to_string().contains(&secret.to_lowercase()), "{error}");
    }
    let layer = layer(sandbox.url()).with_headers(["x-app-version"]).unwrap();
    let echo = Echo::behind(layer).await;
    echo.send("GET /", &[("X-App-Version", "7"), ("accept-language", "de")]).await;
    assert_eq!(asked(&sandbox)[0]["headers"], json!({ "x-app-version": "7" }));
}

/// Promise 32.
#[tokio::test]
async fn a_query_is_told_only_where_that_is_asked_for() {
    let sandbox = sandbox().await;
    let plain = Echo::behind(layer(sandbox.url())).await;
    plain.send("GET /a?b=c", &[]).await;
    events(&sandbox, 1).await;
    let told = Echo::behind(layer(sandbox.url()).with_query_strings()).await;
    told.send("GET /a?b=c", &[]).await;
    let asked = asked(&sandbox);
    assert_eq!((&asked[0]["path"], &asked[1]["path"]), (&json!("/a"), &json!("/a?b=c")));
    let events = events(&sandbox, 2).await;
    assert_eq!((&events[0]["path"], &events[1]["path"]), (&json!("/a"), &json!("/a?b=c")));
}

/// Promise 32.
#[tokio::test]
async fn a_return_path_is_told_only_with_a_configured_origin_and_never_from_what_a_request_says() {
    const LIES: &[(&str, &str)] = &[
        ("accept", "text/html"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
    ];
    let sandbox = sandbox().await;
    let without = Echo::behind(layer(sandbox.url())).await;
    let raw = b"GET http://evil.example/x HTTP/1.1\r\nhost: evil.example\r\naccept: text/html\r\n\
        connection: close\r\n\r\n";
    without.exchange(raw).await;
    without.send("GET /x", &LIES[2..]).await;
    assert!(asked(&sandbox).iter().all(|asked| asked.get("return_url").is_none()));

    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let with = Echo::behind(layer(sandbox.url()).with_public_origin(origin)).await;
    with.exchange(raw).await;
    for target in ["//evil.example/x", "/\\evil.example", "/x?y=//evil.example", "/x"] {
        with.send(&format!("GET {target}"), &[LIES[0], LIES[2], LIES[4]]).await;
    }
    let asked = asked(&sandbox);
    assert!(asked.len() >= 5);
    for asked in &asked[2..] {
        let return_path = asked["return_url"].as_str().unwrap();
        assert!(return_path.starts_with("https://shop.example/"), "{return_path}");
        assert!(!return_path.starts_with("https://shop.example//"), "{return_path}");
    }
    assert_eq!(asked[2]["return_url"], "https://shop.example/x");
}

/// Promise 33.
#[tokio::test]
async fn lines_of_the_log_are_bounded_and_no_visitor_can_make_one_up() {
    let (log, _subscribed) = ThreadLog::start();
    let sandbox = sandbox().await;
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let layer = layer(sandbox.url()).with_public_origin(origin).with_query_strings();
    let echo = Echo::behind(layer.with_session_cookie("sid").unwrap()).await;
    let forged = "forged%0a2026-11-24T00:00:00Z ERROR forged";
    let long = "forged ".repeat(1_000);
    let headers = [
        ("user-agent", "\u{1b}[31mforged\u{9b}31m\u{2028}ERROR forged"),
        ("accept-language", long.as_str()),
        ("x-request-id", &long),
        ("x-forwarded-for", "forged\tERROR forged"),
        ("cookie", "sid=forged\tERROR"),
        ("accept", "text/html"),
    ];
    // A server would refuse the escape.
    let headers = headers.map(|(name, value)| (name, value.replace('\u{1b}', "")));
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = forged.replace(' ', "%20");
    let lines = [format!("GET /{path}?{path}"), format!("GET /?esper_challenge_proof={path}")];
    for step in 0..4 {
        match step {
            1 => sandbox.challenge("127.0.0.1"),
            2 => sandbox.block("127.0.0.1"),
            3 => drop(sandbox.faults().add(Fault::status(400))),
            _ => {}
        }
        for line in &lines {
            echo.send(line, &headers).await;
        }
        let solution = json!({ "envelope": long, "response": "forged\n ERROR forged" }).to_string();
        let post = format!(
            "POST /.well-known/esper/challenge HTTP/1.1\r\nhost: forged\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{solution}",
            solution.len()
        );
        echo.exchange(post.as_bytes()).await;
    }
    let text = log.text();
    assert!(text.contains("esper.enforce"), "{text}");
    for line in text.lines() {
        assert!(line.len() < 2_000 && !line.contains(char::is_control), "{line}");
        assert!(line.starts_with("20"), "a line of its own: {line}");
        assert!(!line.contains("forged"), "there is not even a visitor's text: {line}");
    }
}

/// Promise 33: what the service says may be what a visitor said to it.
#[tokio::test]
async fn what_the_service_quotes_of_a_visitor_is_escaped_and_bounded() {
    let (log, _subscribed) = ThreadLog::start();
    let quoting =
        format!(r#"{{"message":"bad\n2026 ERROR quoted \u001b[31m{}"}}"#, "x".repeat(9_000));
    let blocking = quoting.replacen("\"message\"", "\"action\":\"block\",\"reason\"", 1);
    let server = RawServer::start(move |number, _| match number {
        0 => Answer::json(400, &quoting),
        _ => Answer::json(200, &blocking),
    });
    let origin = PublicOrigin::parse("https://shop.example").unwrap();
    let echo = Echo::behind(layer(&server.url()).with_public_origin(origin)).await;
    assert_eq!(echo.send("GET /", &[("accept", "text/html")]).await.status(), 200);
    let decision = echo.only().decision.unwrap();
    let error = decision.error().unwrap().to_string();
    assert!(error.len() < 1_000 && !error.contains(char::is_control), "{error}");
    let quiet = layer(&server.url()).with_telemetry_share(0.0);
    assert_eq!(Echo::behind(quiet).await.send("GET /", &[]).await.status(), 403);
    let is_reason = |line: &str| line.contains("is refused") && line.contains("ERROR quoted");
    assert!(log.text().lines().any(is_reason), "the reason of a block is logged");
    for line in log.text().lines() {
        assert!(line.len() < 2_000 && !line.contains(char::is_control), "{line}");
        assert!(!line.starts_with("2026 ERROR"), "{line}");
    }
}
