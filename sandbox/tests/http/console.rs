//! What the console shows.

use std::net::Ipv4Addr;
use std::time::Duration;

use esper_sandbox::{Fault, Operation, STARTER_POLICIES, Sandbox};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::caller::Answer;
use crate::desk::{Desk, IP, has_row, rows};
use crate::policies::PolicyFile;

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_files_and_stays_with_this_browser() {
    let desk = Desk::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/console/style.css", "text/css; charset=utf-8"),
        ("/console/script.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = Answer::to(desk.get(path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["content-type"], kind);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let policy = answer.headers["content-security-policy"].to_str().expect("a policy");
        for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    let page = desk.page().await;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    assert!(!page.contains("{{"), "every place is filled");
}

#[tokio::test]
async fn the_page_and_the_stream_show_events_decisions_and_what_is_in_force() {
    let desk = Desk::start().await;
    let mut stream = desk.follow().await;
    assert_eq!(rows(&stream.next().await.expect("a view")).len(), 0);
    desk.caller.events(IP, 61).await;
    assert_eq!(desk.caller.decide(IP).await["action"], "challenge");
    let view = stream.until(|view| has_row(view, "challenged", "burst: 61 events in 10 s")).await;
    assert!(has_row(&view, "event", "http_request"));
    assert!(has_row(&view, "mitigation", "begins"));
    let [held] = view["mitigations"].as_array().expect("mitigations").as_slice() else {
        panic!("{view}")
    };
    assert_eq!(
        (&held["action"], &held["entity"]),
        (&json!("challenge"), &json!(format!("client_ip {IP}")))
    );
    assert!(held["remaining"].as_str().is_some_and(|left| left.ends_with(" s left")), "{held}");
    let policies = view["policies"].as_array().expect("policies");
    assert_eq!(
        policies.iter().map(|p| &p["id"]).collect::<Vec<_>>(),
        ["trap_path", "flood", "credential_stuffing", "burst", "known_crawler"]
    );
    let burst = policies[3]["definition"].as_str().expect("a text");
    assert!(burst.contains("name = \"burst\"\n") && burst.contains("[[policy]]"), "{burst}");
    let page = desk.page().await;
    for text in
        [IP, "burst: 61 events in 10 s", "known_crawler", "Lift burst of client_ip 203.0.113.7"]
    {
        assert!(page.contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_lifted_mitigation_is_over_and_said_to_be() {
    let desk = Desk::start().await;
    desk.caller.events(IP, 61).await;
    let view = desk.view().await;
    let lift = format!("/{}", view["mitigations"][0]["lift"].as_str().expect("a path"));
    for _ in 0..2 {
        let answer = desk.post(&lift).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let back = answer.headers()["location"].to_str().expect("a location");
        assert_eq!(answer.url().join(back).expect("a URL").path(), "/");
    }
    assert_eq!(desk.caller.decide(IP).await["action"], "allow");
    let view = desk.view().await;
    assert_eq!(view["mitigations"], json!([]));
    assert!(has_row(&view, "mitigation", "is lifted by hand"));
    assert!(has_row(&view, "allowed", "score"));
}

#[tokio::test]
async fn a_passed_challenge_and_a_repeated_event_are_told_as_such() {
    let desk = Desk::of(Sandbox::builder().challenge_difficulty(0)).await;
    desk.caller.events(IP, 61).await;
    let decision = desk.caller.decide(IP).await;
    assert!(desk.caller.verify(crate::caller::token(&decision["challenge"]), "1").await);
    let event = json!({ "type": "login", "ip": IP, "path": "/login" });
    for _ in 0..2 {
        let id = "0192f0c1-2345-7000-8000-000000000001";
        let request = desk.caller.request("/v1/events").header("Idempotency-Key", id);
        assert_eq!(Answer::to(request.json(&event)).await.status, StatusCode::ACCEPTED);
    }
    let view = desk.view().await;
    assert!(has_row(&view, "mitigation", "a challenge was passed"));
    assert!(has_row(&view, "event", "login /login"));
    assert!(has_row(&view, "event", "delivered before, not counted again"));
}

#[tokio::test]
async fn a_decision_tells_where_it_was_about_and_what_only_monitors() {
    let desk = Desk::start().await;
    let crawler = json!({ "ip": IP, "user_agent": "GPTBot/1.2", "method": "GET", "path": "/a" });
    desk.caller.decide_about(crawler.clone()).await;
    assert!(has_row(&desk.view().await, "allowed", "GET /a"));
    let mut elsewhere = crawler;
    elsewhere["path"] = json!("/b");
    desk.caller.decide_about(elsewhere).await;
    let view = desk.view().await;
    assert!(has_row(&view, "allowed", "monitored by known_crawler, score 0"), "{view}");
    assert!(rows(&view).len() == 2 || has_row(&view, "allowed", "and other paths"), "{view}");
}

#[tokio::test]
async fn what_has_expired_is_said_to_as_soon_as_the_clock_is_moved_on() {
    let desk = Desk::start().await;
    desk.caller.events(IP, 61).await;
    let mut stream = desk.follow().await;
    stream.until(|view| view["held"] == "1").await;
    desk.sandbox.advance(Duration::from_secs(60));
    let view = stream.until(|view| view["held"] == "0").await;
    assert_eq!(view["mitigations"], json!([]));
    assert!(has_row(&view, "mitigation", "policy burst"), "{view}");
    assert!(has_row(&view, "mitigation", "has expired"), "{view}");
    // Quiet for longer than the plot is: nothing moves but by the clock.
    desk.sandbox.advance(Duration::from_secs(600));
    let view = stream.until(|view| view["events"] == "0").await;
    assert!(has_row(&view, "mitigation", "has expired"), "what was remembered stays: {view}");
}

#[tokio::test]
async fn what_is_put_and_lifted_in_the_process_is_shown() {
    let desk = Desk::start().await;
    desk.sandbox.block(IP);
    let view = desk.view().await;
    assert_eq!(view["mitigations"][0]["remaining"], "until it is lifted");
    assert!(has_row(&view, "mitigation", "begins"), "{view}");
    desk.sandbox.lift(IP);
    let view = desk.view().await;
    assert_eq!(view["held"], "0");
    assert!(has_row(&view, "mitigation", "is lifted by hand"), "{view}");
}

#[tokio::test]
async fn many_mitigations_are_counted_and_the_newest_shown() {
    let desk = Desk::start().await;
    for number in 0..60 {
        desk.sandbox.block(format!("203.0.113.{number}").as_str());
    }
    let view = desk.view().await;
    let shown = view["mitigations"].as_array().expect("mitigations");
    assert_eq!((&view["held"], shown.len()), (&json!("60"), 50));
    assert_eq!(shown[0]["entity"], "client_ip 203.0.113.59");
    assert_eq!(view["more"], "and 10 that began before these");
}

#[tokio::test]
async fn faults_are_shown_with_their_hits_as_they_change() {
    let desk = Desk::start().await;
    let mut stream = desk.follow().await;
    let view = stream.next().await.expect("a view");
    assert_eq!(view["faults"], json!([]));
    let fault = Fault::status(429).on(Operation::CheckMitigation).times(2);
    let id = desk.sandbox.faults().add(fault);
    let only = |view: &Value| view["faults"][0].clone();
    let view = stream.until(|view| !only(view).is_null()).await;
    let expected = json!({
        "id": "1", "tone": "block", "operation": "check_mitigation", "does": "status 429",
        "hits": "0 hits, 2 left",
    });
    assert_eq!(only(&view), expected);
    for left in ["1 hit, 1 left", "2 hits, used up"] {
        desk.caller.post("/v1/mitigate", json!({ "ip": IP })).await.refusal(429, "fault");
        stream.until(|view| only(view)["hits"] == left).await;
    }
    desk.sandbox.faults().remove(id);
    stream.until(|view| view["faults"] == json!([])).await;
}

#[tokio::test]
async fn a_refused_policy_file_is_told_with_its_line_until_it_is_right_again() {
    let file = PolicyFile::new("console", "");
    let desk = Desk::of(Sandbox::builder().policies_file(&file.0)).await;
    let mut stream = desk.follow().await;
    stream.until(|view| view["policies"] == json!([]) && view["mistake"] == "").await;
    file.write("[[policy]]\nname = 7");
    desk.sandbox.reload_policies().expect_err("a mistake");
    let view = stream.until(|view| view["mistake"] != "").await;
    let mistake = view["mistake"].as_str().expect("a text");
    assert!(mistake.contains(":2:8: "), "{mistake}");
    let refused = |view: &Value| rows(view).iter().any(|row| row["what"] == "refused");
    assert!(refused(&view), "{view}");
    assert!(desk.page().await.contains(":2:8: "));
    file.write(STARTER_POLICIES);
    desk.sandbox.reload_policies().expect("no mistake");
    let all = |view: &Value| view["policies"].as_array().map(Vec::len) == Some(5);
    let view = stream.until(|view| view["mistake"] == "" && all(view)).await;
    assert!(rows(&view).iter().any(|row| row["what"] == "policies"), "{view}");
}

#[tokio::test]
async fn what_came_from_traffic_stays_text_and_short() {
    let desk = Desk::start().await;
    let markup = "\"><img src=x onerror=alert(1)><script>alert(2)</script>{{rows}}";
    for hostile in [markup.to_owned(), "\u{202e}evil\u{0}".to_owned(), "x".repeat(10_000)] {
        let event = json!({ "type": hostile, "ip": IP, "user_agent": hostile, "path": hostile });
        desk.caller.event(event).await;
        desk.caller.decide_about(json!({ "ip": IP, "user_agent": hostile })).await;
    }
    let page = desk.page().await;
    assert!(!page.contains("<img src=x") && !page.contains("<script>alert"));
    assert!(page.contains("&lt;script&gt;alert(2)&lt;/script&gt;"));
    let stream = desk.follow().await.next().await.expect("a view").to_string();
    for text in [&page, &stream] {
        assert!(!text.contains(['\u{202e}', '\u{0}']));
        assert!(!text.contains(&"x".repeat(200)));
    }
    assert!(page.contains("\\u{202e}evil\\0"));
    assert!(page.len() < 50_000 && stream.len() < 30_000, "{} {}", page.len(), stream.len());
}

#[tokio::test]
async fn no_key_is_ever_shown() {
    let desk = Desk::of(Sandbox::builder().api_key("visible-key").api_key("second-key")).await;
    desk.caller.events(IP, 61).await;
    desk.caller.decide(IP).await;
    let texts = [desk.page().await, desk.view().await.to_string()];
    for key in ["visible-key", "second-key", Sandbox::DEFAULT_API_KEY] {
        assert!(texts.iter().all(|text| !text.contains(key)), "{key}");
    }
    let page = Desk::start().await.page().await;
    assert!(page.contains("ESPER_API_KEY") && !page.contains(Sandbox::DEFAULT_API_KEY));
}

#[tokio::test]
async fn a_flood_of_visitors_neither_grows_the_view_nor_hides_a_decision() {
    let desk = Desk::start().await;
    for visitor in 0..600_u32 {
        desk.caller.events(&Ipv4Addr::from_bits(0x0a00_0000 + visitor).to_string(), 1).await;
    }
    desk.caller.events(IP, 61).await;
    desk.caller.decide(IP).await;
    let view = desk.view().await;
    assert!(rows(&view).len() <= 120, "{}", rows(&view).len());
    assert_eq!(view["events"], "661");
    assert!(rows(&view).iter().any(|row| row["visitor"] == "other visitors"));
    assert!(has_row(&view, "challenged", "burst"));
}
