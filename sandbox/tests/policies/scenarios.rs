//! The starters, by whom they hit and whom they must not.

use esper_sandbox::STARTER_POLICIES;
use serde_json::{Value, json};

use crate::stage::{SECOND, Stage, action};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Somebody's traffic, and what is decided about them in the end.
struct Scenario {
    who: &'static str,
    traffic: fn(&mut Stage),
    request: Value,
    action: &'static str,
    reason: Option<&'static str>,
}

fn get(ip: &str, user_agent: &str, path: &str) -> Value {
    json!({
        "type": "http_request", "ip": ip, "user_agent": user_agent, "path": path, "method": "GET",
    })
}

fn login(ip: &str, user_agent: &str, session: &str) -> Value {
    json!({
        "type": "http_request", "ip": ip, "user_agent": user_agent, "path": "/login",
        "method": "POST", "session_id": session,
    })
}

fn request(ip: &str, user_agent: &str) -> Value {
    json!({ "ip": ip, "user_agent": user_agent, "path": "/", "method": "GET" })
}

fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            who: "a stranger",
            traffic: |_| {},
            request: request("203.0.113.1", FIREFOX),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "a reader of pages with forty assets, one every ten seconds",
            traffic: |stage| {
                for visit in 0..100 {
                    stage.at(SECOND * 10 * visit);
                    for asset in 0..40 {
                        stage.event(&get("203.0.113.2", FIREFOX, &format!("/asset/{asset}")));
                    }
                }
            },
            request: request("203.0.113.2", FIREFOX),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "an office of two hundred behind one address, of whom some log in each minute",
            traffic: |stage| {
                for minute in 0..10 {
                    for second in 0..60 {
                        stage.at(SECOND * (minute * 60 + second));
                        for person in 0..200 {
                            if (person + second) % 20 == 0 {
                                let browser = format!("{FIREFOX} {person}");
                                stage.event(&get("203.0.113.3", &browser, "/"));
                            }
                        }
                        if second % 4 == 0 {
                            let session = format!("session-{minute}-{second}");
                            stage.event(&login("203.0.113.3", FIREFOX, &session));
                        }
                    }
                }
            },
            request: request("203.0.113.3", &format!("{FIREFOX} 0")),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "a feed reader that asks every minute, all day",
            traffic: |stage| {
                for minute in 0..24 * 60 {
                    stage.at(SECOND * 60 * minute);
                    stage.event(&get("203.0.113.4", "FeedFetcher/1.0", "/feed.xml"));
                }
            },
            request: request("203.0.113.4", "FeedFetcher/1.0"),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "somebody who mistypes a password nineteen times in one session",
            traffic: |stage| {
                for _ in 0..19 {
                    stage.event(&login("203.0.113.5", FIREFOX, "session-1"));
                }
            },
            request: request("203.0.113.5", FIREFOX),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "a hasty script",
            traffic: |stage| {
                for _ in 0..72 {
                    stage.event(&get("203.0.113.6", "script/1.0", "/"));
                }
            },
            request: request("203.0.113.6", "script/1.0"),
            action: "challenge",
            reason: Some("burst: 72 events in 10 s"),
        },
        Scenario {
            who: "a scraper that takes the whole shop",
            traffic: |stage| {
                for number in 0..220 {
                    stage.event(&get("203.0.113.7", "scraper/1.0", &format!("/{number}")));
                }
            },
            request: request("203.0.113.7", "scraper/1.0"),
            action: "block",
            reason: Some("flood: more than 200 events in 10 s"),
        },
        Scenario {
            who: "a browser at the address of the scraper",
            traffic: |stage| {
                for number in 0..220 {
                    stage.event(&get("203.0.113.7", "scraper/1.0", &format!("/{number}")));
                }
            },
            request: request("203.0.113.7", FIREFOX),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "a thief of passwords, who changes the session and the browser each time",
            traffic: |stage| {
                for attempt in 0..21 {
                    stage.at(SECOND * 2 * attempt);
                    let browser = format!("{FIREFOX} {attempt}");
                    stage.event(&login("203.0.113.8", &browser, &format!("s-{attempt}")));
                }
            },
            request: request("203.0.113.8", "another/1.0"),
            action: "challenge",
            reason: Some("credential_stuffing: more than 20 values of session_id in 60 s"),
        },
        Scenario {
            who: "a scanner that asks for a trap once",
            traffic: |stage| {
                stage.event(&get("203.0.113.9", "scanner/1.0", "/wp-login.php"));
            },
            request: request("203.0.113.9", "scanner/1.0"),
            action: "block",
            reason: Some("trap_path: an event matched"),
        },
        Scenario {
            who: "somebody else at the scanner's address",
            traffic: |stage| {
                stage.event(&get("203.0.113.9", "scanner/1.0", "/wp-login.php"));
            },
            request: request("203.0.113.9", FIREFOX),
            action: "allow",
            reason: None,
        },
        Scenario {
            who: "somebody whose request is for a trap, before any event says so",
            traffic: |_| {},
            request: json!({ "ip": "203.0.113.9", "path": "/wp-login.php" }),
            action: "allow",
            reason: None,
        },
    ]
}

#[test]
fn the_starters_hit_whom_they_should_and_nobody_else() {
    for Scenario { who, traffic, request, action: expected, reason } in scenarios() {
        let mut stage = Stage::of(STARTER_POLICIES);
        traffic(&mut stage);
        let decision = stage.decide(&request);
        assert_eq!(action(&decision), expected, "{who}: {decision}");
        assert_eq!(decision["reason"].as_str(), reason, "{who}");
    }
}

#[test]
fn nobody_who_must_not_be_hit_was_hit_on_the_way() {
    let allowed = scenarios().into_iter().filter(|scenario| scenario.action == "allow");
    let mut looked_at = 0;
    for Scenario { who, traffic, request, .. } in allowed {
        let mut stage = Stage::watching(STARTER_POLICIES, request);
        traffic(&mut stage);
        assert_eq!(stage.hits(), 0, "{who}");
        looked_at += 1;
    }
    assert!(looked_at > 5);
}

#[test]
fn known_crawlers_are_monitored_by_their_token_in_any_case() {
    let stage = Stage::of(STARTER_POLICIES);
    for (user_agent, expected) in [
        ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", Some("GPTBot")),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            Some("Googlebot"),
        ),
        ("meta-externalagent/1.1", Some("Meta-ExternalAgent")),
        ("CCBOT", Some("CCBot")),
        ("", None),
        (FIREFOX, None),
        ("NotGPTBot/1.0", None),
        ("GPTBot-imitation/1.0", None),
        ("GPT Bot", None),
    ] {
        let decision = stage.decide(&request("203.0.113.1", user_agent));
        assert_eq!(action(&decision), "allow");
        let monitor = &decision["metadata"]["monitor"];
        assert_eq!(monitor["word"].as_str(), expected, "{user_agent}");
        assert_eq!(monitor["policy"].as_str(), expected.map(|_| "known_crawler"), "{user_agent}");
    }
}
