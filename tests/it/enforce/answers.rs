//! Answers in place of the application's: who gets which, and what goes with them.

use bytes::Bytes;
use esper_rs_client::enforce::{Audience, EnforceLayer};
use esper_rs_client::{FailurePolicy, MitigationAction};
use esper_sandbox::Operation;
use http::HeaderValue;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::echo::Echo;
use super::site::{BROWSER, Site, VISITOR};
use super::solving::{ENDPOINT, calls};
use crate::support::guard;
use crate::support::thread_log::ThreadLog;

/// What a client sends, and what it gets.
type Client = (&'static [(&'static str, &'static str)], &'static str);

fn request(site: &Site, method: Method, headers: &[(&str, &str)]) -> RequestBuilder {
    let request = site.http.request(method, site.url("/checkout"));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

pub(super) fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Has the visitor answered with this status from now on.
fn suspect(site: &Site, status: u16) {
    match status {
        403 => site.sandbox.block(VISITOR),
        _ => site.sandbox.challenge(VISITOR),
    }
}

#[tokio::test]
async fn blocks_and_challenges_are_never_stored_and_say_what_they_depend_on() {
    let site = Site::new().await;
    for status in [403, 429] {
        suspect(&site, status);
        for (headers, kind) in CLIENTS {
            for method in [Method::GET, Method::POST, Method::HEAD, Method::DELETE] {
                let answer = request(&site, method.clone(), headers).send().await.unwrap();
                let expected = if *kind == GRPC { 200 } else { status };
                assert_eq!(answer.status(), expected, "{method} {headers:?}");
                assert_eq!(header(&answer, "content-type"), *kind, "{method} {headers:?}");
                assert_eq!(header(&answer, "cache-control"), "no-store");
                let vary = header(&answer, "vary").to_ascii_lowercase();
                let vary: Vec<_> = vary.split(", ").collect();
                for (name, _) in CLIENTS.iter().flat_map(|(headers, _)| *headers) {
                    assert!(vary.contains(name), "{name}");
                }
                for name in ["cookie", "user-agent"] {
                    assert!(vary.contains(&name), "{name}");
                }
            }
        }
    }
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn the_answer_to_head_is_that_to_get_without_its_body() {
    let site = Site::new().await;
    for status in [403, 429] {
        suspect(&site, status);
        for (headers, _) in CLIENTS {
            let get = request(&site, Method::GET, headers).send().await.unwrap();
            let head = request(&site, Method::HEAD, headers).send().await.unwrap();
            for name in ["content-type", "cache-control", "vary", "grpc-status"] {
                assert_eq!(header(&head, name), header(&get, name), "{name}");
            }
            assert_eq!(head.status(), get.status());
            assert_eq!(head.bytes().await.unwrap(), "");
        }
    }
}

#[tokio::test]
async fn a_machine_client_never_gets_html() {
    let site = Site::new().await;
    for status in [403, 429] {
        suspect(&site, status);
        for headers in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json, */*;q=0.1")],
            &[("accept", "text/html;q=0, application/json")],
            &[("accept", "text/plain"), ("user-agent", BROWSER)],
            &[("accept", HTML), ("sec-fetch-dest", "empty")],
            &[("accept", HTML), ("sec-fetch-dest", "image")],
            &[("accept", HTML), ("sec-fetch-dest", "script")],
            &[("accept", HTML), ("sec-fetch-dest", "worker")],
            &[("accept", HTML), ("x-requested-with", "XMLHttpRequest")],
            &[("accept", HTML), ("content-type", "application/grpc")],
            &[("accept", HTML), ("content-type", "application/grpc+proto")],
        ] {
            for method in [Method::GET, Method::POST] {
                let answer = request(&site, method, headers).send().await.unwrap();
                assert!(!header(&answer, "content-type").contains("html"), "{headers:?}");
                assert!(!answer.text().await.unwrap().contains('<'), "{headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_problem_has_the_members_of_rfc_9457_and_those_of_the_family() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    let blocked: Value = site.call("/").send().await.unwrap().json().await.unwrap();
    let expected = json!({
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "the request was blocked",
        "error": "blocked",
    });
    assert_eq!(blocked, expected);

    site.sandbox.challenge(VISITOR);
    let challenge = site.challenge().await;
    let task = json!({
        "type": "proof_of_work",
        "token": challenge.token(),
        "params": challenge.problem["challenge"]["params"],
    });
    let expected = json!({
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "the request needs a solved challenge",
        "error": "challenged",
        "challenge": task,
        "verify": ENDPOINT,
    });
    assert_eq!(challenge.problem, expected);
}

#[tokio::test]
async fn a_grpc_client_gets_permission_denied_in_trailers_alone() {
    let site = Site::new().await;
    for (status, message) in
        [(403, "the request was blocked"), (429, "the request needs a solved challenge")]
    {
        suspect(&site, status);
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            let headers = [("content-type", kind), ("te", "trailers")];
            let answer =
                request(&site, Method::POST, &headers).body("\0\0\0\0\0").send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(header(&answer, "content-type"), "application/grpc");
            assert_eq!(header(&answer, "grpc-status"), "7");
            assert_eq!(header(&answer, "grpc-message"), message);
            assert_eq!(answer.bytes().await.unwrap(), "");
        }
    }
    assert_eq!(site.calls(), 0);
}

#[tokio::test]
async fn a_grpc_web_client_is_answered_in_its_own_type() {
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    for kind in ["application/grpc-web+proto", "application/grpc-web-text"] {
        let answer = request(&site, Method::POST, &[("content-type", kind)]).send().await.unwrap();
        assert_eq!((header(&answer, "content-type"), header(&answer, "grpc-status")), (kind, "7"));
    }
}

#[tokio::test]
async fn whoever_is_blocked_has_what_finds_the_request_and_so_has_the_log() {
    let (log, _guard) = ThreadLog::start();
    let site = Site::new().await;
    site.sandbox.block(VISITOR);
    let program = site.call("/").header("x-request-id", "0198-cd").send().await.unwrap();
    assert_eq!(program.json::<Value>().await.unwrap()["request_id"], "0198-cd");
    let line = log.text();
    let line = line.lines().find(|line| line.contains("a request is refused")).unwrap();
    assert!(line.contains("action=block source=\"service\""), "{line}");
    assert!(line.contains("request_id=\"0198-cd\""), "{line}");
    let with = site.visit("/").header("x-request-id", "0198-ab<i>").send().await.unwrap();
    let with = with.text().await.unwrap();
    assert!(with.contains("<code>0198-ab&lt;i&gt;</code>"), "{with}");
    let without = site.visit("/").send().await.unwrap().text().await.unwrap();
    assert!(without.contains("class=\"reference\" hidden"), "{without}");
}

#[tokio::test]
async fn a_function_answers_in_the_language_of_the_request() {
    let site = Site::with(|layer| {
        layer.with_response(|denial| {
            let language = denial.request.headers.get("accept-language")?.to_str().ok()?;
            let words = if language.starts_with("de") { "Nein." } else { "No." };
            let words = format!("{words} {}", denial.request.uri.path());
            Some(http::Response::new(Bytes::from(words)))
        })
    })
    .await;
    site.sandbox.block(VISITOR);
    for (language, expected) in [("de-CH, fr", "Nein. /a"), ("en", "No. /a")] {
        let answer = site.call("/a").header("accept-language", language).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_answer_of_a_function_takes_the_place_of_the_usual_one() {
    let site = Site::with(|layer| {
        layer.with_response(|denial| {
            let mut answer = http::Response::new(Bytes::from(denial.endpoint.to_owned()));
            match (denial.decision.action, denial.audience) {
                (MitigationAction::Block, Audience::Grpc) => return None,
                (MitigationAction::Block, _) => *answer.status_mut() = http::StatusCode::NOT_FOUND,
                _ => {
                    let token = denial.challenge.as_ref()?.token.clone();
                    *answer.body_mut() = Bytes::from(token);
                    *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
                    let cached = HeaderValue::from_static("private, max-age=1");
                    answer.headers_mut().insert("cache-control", cached);
                    answer.headers_mut().insert("vary", HeaderValue::from_static("*"));
                }
            }
            Some(answer)
        })
    })
    .await;
    site.sandbox.block(VISITOR);
    for blocked in [site.call("/"), site.visit("/")] {
        let blocked = blocked.send().await.unwrap();
        assert_eq!(blocked.status(), 404);
        assert_eq!(header(&blocked, "cache-control"), "no-store");
        assert!(header(&blocked, "vary").contains("Cookie"));
        assert_eq!(blocked.text().await.unwrap(), ENDPOINT);
    }
    let grpc = site.call("/").header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!(header(&grpc, "grpc-status"), "7");

    site.sandbox.challenge(VISITOR);
    let challenged = site.call("/").send().await.unwrap();
    assert_eq!(challenged.status(), 401);
    assert_eq!(header(&challenged, "cache-control"), "private, max-age=1");
    assert_eq!(header(&challenged, "vary"), "*");
    // Its token is the envelope, which the endpoint takes.
    let token = challenged.text().await.unwrap();
    let wrong = json!({ "envelope": token, "response": "none" });
    assert_eq!(site.hand_in(&wrong).send().await.unwrap().status(), 403);
    assert_eq!(calls(&site.sandbox, Operation::VerifyChallenge).len(), 1);
    assert_eq!(site.calls(), 0);
}

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const GRPC: &str = "application/grpc";
const CLIENTS: &[Client] = &[
    (&[("accept", HTML), ("sec-fetch-dest", "document")], "text/html; charset=utf-8"),
    (&[("accept", HTML), ("sec-fetch-dest", "iframe")], "text/html; charset=utf-8"),
    (&[("accept", HTML)], "text/html; charset=utf-8"),
    (&[("accept", HTML), ("sec-fetch-dest", "empty")], "application/problem+json"),
    (&[("accept", HTML), ("x-requested-with", "XMLHttpRequest")], "application/problem+json"),
    (&[("accept", "*/*")], "application/problem+json"),
    (&[("content-type", "application/grpc+proto")], GRPC),
];

#[tokio::test]
async fn a_visitor_who_cannot_be_checked_is_told_so_and_not_taken_for_a_bot() {
    let closed = guard("http://127.0.0.1:1").with_failure_policy(FailurePolicy::closed());
    let echo = Echo::behind(EnforceLayer::new(closed)).await;

    let page = echo.send("GET /", &[("accept", "text/html"), ("sec-fetch-dest", "document")]).await;
    assert_eq!(page.status(), 503);
    for part in ["retry-after: 5\r\n", "cache-control: no-store\r\n", "could not be checked"] {
        assert!(page.0.contains(part), "{part}: {page:?}");
    }

    let problem = echo.send("POST /", &[]).await;
    assert_eq!((problem.status(), &problem.json()["error"]), (503, &json!("unchecked")));
    assert!(problem.0.contains("retry-after: 5\r\n"), "{problem:?}");

    let grpc = echo.send("POST /", &[("content-type", "application/grpc")]).await;
    assert_eq!(grpc.status(), 200);
    assert!(grpc.0.contains("grpc-status: 14\r\n"), "{grpc:?}");
    assert_eq!(echo.calls(), 0);
}
