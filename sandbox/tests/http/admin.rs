//! The admin interface, and who is kept out of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use esper_sandbox::{Fault, Sandbox};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::caller::{Answer, Caller, posts};

const IP: &str = "203.0.113.7";

async fn sandbox() -> Sandbox {
    let builder = Sandbox::builder().admin((Ipv4Addr::LOCALHOST, 0).into());
    builder.start().await.expect("a sandbox")
}

fn request(sandbox: &Sandbox, method: Method, path: &str) -> RequestBuilder {
    let url = sandbox.admin_url().expect("an admin interface");
    Caller::of(sandbox).http.request(method, format!("{url}{path}"))
}

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    let answer = Answer::to(request(sandbox, Method::GET, path)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> Answer {
    Answer::to(request(sandbox, Method::POST, path).json(&body)).await
}

#[tokio::test]
async fn there_is_none_unless_it_is_asked_for() {
    let sandbox = Sandbox::start().await;
    assert_eq!((sandbox.admin_addr(), sandbox.admin_url()), (None, None));
    let caller = Caller::of(&sandbox);
    caller.post("/faults", json!({ "fault": "silence" })).await.refusal(404, "not_found");
}

#[tokio::test]
async fn each_path_has_its_methods_and_head_is_none_of_them() {
    let sandbox = sandbox().await;
    for (path, allowed) in [
        ("/healthz", "GET"),
        ("/faults", "DELETE, GET, POST"),
        ("/faults/1", "DELETE"),
        ("/requests", "GET"),
        ("/clock", "POST"),
    ] {
        for method in [Method::HEAD, Method::PUT] {
            let answer = Answer::to(request(&sandbox, method.clone(), path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn it_is_another_address_than_the_api() {
    let sandbox = sandbox().await;
    assert_ne!(sandbox.admin_addr(), Some(sandbox.addr()));
    assert_eq!(get(&sandbox, "/healthz").await, "ok");
    for (path, body) in posts() {
        post(&sandbox, path, body).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_fault_is_added_listed_and_removed() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    let spec = json!({
        "fault": "status", "status": 429, "headers": { "Retry-After": "2" },
        "operation": "check_mitigation", "times": 3, "share": 0.5, "delay_ms": 1,
    });
    let added = post(&sandbox, "/faults", spec).await;
    assert_eq!((added.status.as_u16(), &added.body), (201, &json!({ "id": 1 })));
    post(&sandbox, "/faults", json!({ "fault": "silence", "times": 0 })).await;
    caller.decide(IP).await;
    let hit = caller.post("/v1/mitigate", json!({ "ip": IP })).await;
    hit.refusal(429, "fault");
    assert_eq!(hit.headers["retry-after"], "2");

    let expected = json!({ "faults": [
        {
            "id": 1, "fault": "status", "status": 429, "headers": { "Retry-After": "2" },
            "operation": "check_mitigation", "times": 3, "share": 0.5, "delay_ms": 1,
            "does": "status 429 after 1ms, for 50 % of the calls", "hits": 1, "left": 2,
        },
        { "id": 2, "fault": "silence", "times": 0, "does": "silence", "hits": 0, "left": 0 },
    ]});
    assert_eq!(get(&sandbox, "/faults").await, expected);

    let removed = Answer::to(request(&sandbox, Method::DELETE, "/faults/1")).await;
    assert_eq!(removed.status, 204);
    for gone in ["/faults/1", "/faults/x", "/faults/%ff"] {
        Answer::to(request(&sandbox, Method::DELETE, gone)).await.refusal(404, "not_found");
    }
    assert_eq!(Answer::to(request(&sandbox, Method::DELETE, "/faults")).await.status, 204);
    assert_eq!(get(&sandbox, "/faults").await, json!({ "faults": [] }));
}

#[tokio::test]
async fn every_fault_can_be_added() {
    let sandbox = sandbox().await;
    for (fault, more, does) in [
        ("delay", json!({ "delay_ms": 20 }), "the ordinary answer after 20ms"),
        ("status", json!({ "status": 503 }), "status 503"),
        ("html", json!({ "status": 502 }), "a page of HTML with status 502"),
        ("truncated", json!({}), "half of the body, then the end"),
        ("reset", json!({}), "a reset before the call is processed"),
        ("reset_in_body", json!({}), "half of the body, then a reset"),
        ("lost_answer", json!({}), "a reset after the call was processed"),
        ("silence", json!({}), "silence"),
    ] {
        let mut spec = more;
        spec["fault"] = fault.into();
        assert_eq!(post(&sandbox, "/faults", spec.clone()).await.status, 201, "{fault}");
        let mut listed = get(&sandbox, "/faults").await["faults"][0].take();
        assert_eq!(listed["does"], does);
        // Without what became of it, it is what was posted.
        let members = listed.as_object_mut().expect("an object");
        members.retain(|name, _| !["id", "does", "hits"].contains(&name.as_str()));
        assert_eq!(listed, spec);
        sandbox.faults().clear();
    }
}

#[tokio::test]
async fn one_fault_too_many_is_a_conflict_and_no_mistake_of_its_own() {
    let sandbox = sandbox().await;
    for _ in 0..1000 {
        sandbox.faults().add(Fault::silence());
    }
    let answer = post(&sandbox, "/faults", json!({ "fault": "silence" })).await;
    let message = answer.refusal(409, "too_many_faults");
    assert_eq!(message, "there are 1000 faults already; remove some first");
}

#[tokio::test]
async fn a_bad_fault_is_refused_by_the_member_at_fault() {
    let sandbox = sandbox().await;
    let many: BTreeMap<_, _> = (0..40_000).map(|number| (format!("x{number}"), "")).collect();
    for (spec, member) in [
        (json!({}), "fault"),
        (json!({ "fault": "chaos" }), "fault"),
        (json!({ "fault": 1 }), "fault"),
        (json!({ "fault": "delay" }), "delay_ms"),
        (json!({ "fault": "silence", "delay_ms": -1 }), "delay_ms"),
        (json!({ "fault": "status" }), "status"),
        (json!({ "fault": "status", "status": 99 }), "status"),
        (json!({ "fault": "html", "status": "502" }), "status"),
        (json!({ "fault": "silence", "status": 500 }), "status"),
        (json!({ "fault": "silence", "operation": "mitigate" }), "operation"),
        (json!({ "fault": "silence", "times": 1.5 }), "times"),
        (json!({ "fault": "silence", "share": 1.5 }), "share"),
        (json!({ "fault": "silence", "headers": { "a": "b" } }), "headers"),
        (json!({ "fault": "status", "status": 500, "headers": { "a": 1 } }), "headers.a"),
        (json!({ "fault": "status", "status": 500, "headers": { "a": "\n" } }), "headers"),
        (json!({ "fault": "status", "status": 500, "headers": many }), "headers"),
        (json!({ "fault": "silence", "time": 1 }), "time"),
    ] {
        let answer = post(&sandbox, "/faults", spec.clone()).await;
        let message = answer.refusal(400, "invalid_request");
        assert!(message.starts_with(&format!("{member}: ")), "{spec}: {message}");
        assert_eq!(answer.body["details"], json!({ "member": member }), "{spec}");
    }
    assert!(sandbox.faults().list().is_empty());
}

#[tokio::test]
async fn requests_are_shown_without_their_keys() {
    let sandbox = sandbox().await;
    let body = json!({ "ip": IP });
    Caller::of(&sandbox).post("/v1/mitigate", body.clone()).await;
    let shown = get(&sandbox, "/requests").await;
    assert!(!shown.to_string().contains(sandbox.api_key()), "{shown}");
    assert_eq!(shown["count"], 1);
    let request = &shown["requests"][0];
    for (member, expected) in [
        ("number", json!(1)),
        ("operation", json!("check_mitigation")),
        ("method", json!("POST")),
        ("path", json!("/v1/mitigate")),
        ("body", body),
        ("status", json!(200)),
    ] {
        assert_eq!(request[member], expected, "{member}");
    }
    let headers = request["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!(["content-type", "application/json"])), "{headers:?}");
}

#[tokio::test]
async fn the_clock_is_moved_on() {
    let sandbox = sandbox().await;
    let caller = Caller::of(&sandbox);
    caller.events(IP, 61).await;
    for bad in [json!({}), json!({ "advance_ms": 1, "advance_s": 1 })] {
        post(&sandbox, "/clock", bad).await.refusal(400, "invalid_request");
    }
    assert_eq!(caller.decide(IP).await["action"], "challenge");
    assert_eq!(post(&sandbox, "/clock", json!({ "advance_ms": 61_000 })).await.status, 204);
    assert_eq!(caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn the_page_of_another_site_can_do_nothing() {
    let sandbox = sandbox().await;
    let own = sandbox.admin_url().expect("an admin interface");
    let spec = json!({ "fault": "silence" });
    for (name, value) in [
        ("Origin", "http://attacker.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        for (method, path) in
            [(Method::POST, "/faults"), (Method::DELETE, "/faults"), (Method::POST, "/clock")]
        {
            let request = request(&sandbox, method, path).header(name, value).json(&spec);
            Answer::to(request).await.refusal(403, "cross_site");
        }
    }
    // What a page can send without asking its browser is no JSON.
    let form = request(&sandbox, Method::POST, "/faults").header("Content-Type", "text/plain");
    Answer::to(form.body(spec.to_string())).await.refusal(415, "unsupported_media_type");
    assert!(sandbox.faults().list().is_empty());

    let request = request(&sandbox, Method::POST, "/faults").header("Origin", own);
    assert_eq!(Answer::to(request.json(&spec)).await.status, 201);
}

#[tokio::test]
async fn a_name_that_was_rebound_to_this_machine_is_refused() {
    let sandbox = sandbox().await;
    for host in ["attacker.example", "attacker.example:8788", "localhost.attacker.example", ""] {
        for (method, path) in [(Method::GET, "/requests"), (Method::POST, "/faults")] {
            let request = request(&sandbox, method, path).header("Host", host);
            Answer::to(request.json(&json!({ "fault": "silence" })))
                .await
                .refusal(403, "unknown_host");
        }
    }
    for host in ["localhost:8788", "sandbox.localhost", "127.0.0.1", "[::1]:8788"] {
        let request = request(&sandbox, Method::GET, "/requests").header("Host", host);
        assert_eq!(Answer::to(request).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_taken_admin_address_is_an_error_that_names_it() {
    let first = sandbox().await;
    let taken = first.admin_addr().expect("an address");
    let error = Sandbox::builder().admin(taken).start().await.expect_err("a taken port");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn it_ends_with_the_sandbox() {
    let sandbox = sandbox().await;
    let health = request(&sandbox, Method::GET, "/healthz");
    sandbox.stop().await;
    health.send().await.expect_err("nobody listens");
}
