//! Where there is a console, and whom it refuses.

use std::net::Ipv4Addr;

use esper_sandbox::{Console, Sandbox};
use reqwest::{StatusCode, Version};

use crate::caller::Answer;
use crate::desk::{Desk, IP};

#[tokio::test]
async fn a_name_that_is_not_the_sandboxs_own_is_refused() {
    let desk = Desk::of(Sandbox::builder().public_url("https://esper.shop.example/sandbox")).await;
    desk.caller.events(IP, 61).await;
    let lift = format!("/{}", desk.view().await["mitigations"][0]["lift"].as_str().expect("one"));
    for good in [
        "localhost",
        "esper.localhost:1",
        "127.0.0.1:80",
        "[::1]",
        "192.0.2.1:8787",
        "esper.shop.example",
    ] {
        let answer = Answer::to(desk.get("/").header("Host", good)).await;
        assert_eq!(answer.status, StatusCode::OK, "{good}: {}", answer.body);
    }
    for bad in ["evil.example", "localhost.evil.example", "192.0.2.1.example", "shop.example"] {
        for path in ["/", "/console/stream"] {
            let answer = Answer::to(desk.get(path).header("Host", bad)).await;
            answer.refusal(403, "wrong_host");
        }
        Answer::to(desk.post(&lift).header("Host", bad)).await.refusal(403, "wrong_host");
    }
    assert_eq!(desk.caller.decide(IP).await["action"], "challenge", "nothing was lifted");
}

#[tokio::test]
async fn the_host_is_looked_at_over_http_2_as_well() {
    let desk = Desk::start().await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let http = http.resolve("evil.example", desk.sandbox.addr()).build().expect("a client");
    let url = format!("http://evil.example:{}/", desk.sandbox.addr().port());
    Answer::to(http.get(url)).await.refusal(403, "wrong_host");
    let own = http.get(desk.sandbox.url()).send().await.expect("an answer");
    assert_eq!((own.status(), own.version()), (StatusCode::OK, Version::HTTP_2));
}

#[tokio::test]
async fn another_sites_page_can_neither_lift_nor_listen() {
    let desk = Desk::start().await;
    desk.caller.events(IP, 61).await;
    let lift = format!("/{}", desk.view().await["mitigations"][0]["lift"].as_str().expect("one"));
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:1"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let post = desk.post(&lift).header(name, value);
        Answer::to(post).await.refusal(403, "cross_site");
        let stream = desk.get("/console/stream").header(name, value);
        Answer::to(stream).await.refusal(403, "cross_site");
    }
    assert_eq!(desk.caller.decide(IP).await["action"], "challenge");
    let own = desk.post(&lift).header("Origin", desk.sandbox.url());
    let own = own.header("Sec-Fetch-Site", "same-origin").send().await.expect("an answer");
    assert_eq!(own.status(), StatusCode::SEE_OTHER);
    assert_eq!(desk.caller.decide(IP).await["action"], "allow");
}

#[tokio::test]
async fn each_path_of_the_console_has_its_method() {
    let desk = Desk::start().await;
    for path in ["/", "/console/stream", "/console/style.css", "/console/script.js"] {
        let answer = Answer::to(desk.post(path)).await;
        answer.refusal(405, "method_not_allowed");
        assert_eq!(answer.headers["allow"], "GET");
    }
    let answer = Answer::to(desk.get("/console/mitigations/x/lift")).await;
    answer.refusal(405, "method_not_allowed");
    for none in ["x", "-1", "%ff"] {
        let answer = Answer::to(desk.post(&format!("/console/mitigations/{none}/lift"))).await;
        answer.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn there_is_a_console_on_loopback_alone_unless_told_otherwise() {
    let any = || Sandbox::builder().listen((Ipv4Addr::UNSPECIFIED, 0).into());
    let paths = ["/", "/console/stream", "/console/style.css"];
    for without in [any(), Sandbox::builder().console(Console::Never)] {
        let desk = Desk::of(without).await;
        assert_eq!(desk.sandbox.console_url(), None);
        for path in paths {
            Answer::to(desk.get(path)).await.refusal(404, "not_found");
        }
        Answer::to(desk.post("/console/mitigations/x/lift")).await.refusal(404, "not_found");
        desk.caller.events(IP, 61).await;
        assert_eq!(desk.caller.decide(IP).await["action"], "challenge");
    }
    for with in [any().console(Console::Always), Sandbox::builder()] {
        let desk = Desk::of(with).await;
        let url = desk.sandbox.console_url().expect("a console");
        assert_eq!(Answer::to(desk.caller.http.get(url)).await.status, StatusCode::OK);
    }
}
