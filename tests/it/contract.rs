//! The client, the spec and the sandbox agree: what goes over the wire between the two fits the
//! document, and all that it documents goes over the wire.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::sync::OnceCell;

mod proxy;
mod scenario;
pub(crate) mod spec;

use crate::support::KEY;
use proxy::Exchange;
use spec::{Operation, entries, spec};

/// All exchanges of the scenario, which is played once for all tests.
async fn exchanges() -> &'static [Exchange] {
    static EXCHANGES: OnceCell<Vec<Exchange>> = OnceCell::const_new();
    EXCHANGES.get_or_init(scenario::play).await
}

/// The exchanges in which an operation of the document was asked for, in its own media type.
async fn documented() -> impl Iterator<Item = (Operation<'static>, &'static Exchange)> {
    exchanges().await.iter().filter_map(|exchange| Some((operation(exchange)?, exchange)))
}

fn operation(exchange: &Exchange) -> Option<Operation<'static>> {
    let request = &exchange.request;
    let operation = spec().operation(&request.method, &request.target)?;
    let media = operation.request();
    let sent = request.all("content-type");
    let fits =
        media.is_empty() || sent.len() == 1 && media.iter().any(|(name, _)| *name == sent[0]);
    fits.then_some(operation)
}

#[tokio::test]
async fn every_request_of_the_client_fits_the_spec() {
    let mut unsent: BTreeSet<_> = spec().operations().iter().flat_map(members).collect();
    for exchange in exchanges().await.iter().filter(|exchange| exchange.is_of_the_client()) {
        let operation = operation(exchange).unwrap_or_else(|| panic!("no operation: {exchange:?}"));
        let request = &exchange.request;
        match operation.request().first() {
            Some((_, media)) => {
                let body = request.json();
                assert_fits(&media["schema"], &body, exchange);
                unsent.retain(|(id, name)| *id != operation.id() || body.get(name).is_none());
            }
            None => assert!(request.body.is_empty(), "{exchange:?}"),
        }
        assert_carries_the_key(&operation, exchange);
        for (name, parameter) in operation.headers() {
            match request.all(name).as_slice() {
                [] => assert_ne!(parameter["required"], true, "{name}: {exchange:?}"),
                [value] => assert_fits(&parameter["schema"], &Value::from(*value), exchange),
                _ => panic!("{name} more than once: {exchange:?}"),
            }
            unsent.retain(|known| *known != (operation.id(), name) || request.all(name).is_empty());
        }
    }
    assert!(unsent.is_empty(), "the client never sent {unsent:?}");
}

/// The names of all that a request of an operation can carry, with the operation's.
fn members(operation: &Operation<'static>) -> Vec<(&'static str, &'static str)> {
    let mut names: Vec<_> = operation.headers().iter().map(|(name, _)| *name).collect();
    if let Some((_, media)) = operation.request().first() {
        let schema = spec().resolved(&media["schema"]);
        names.extend(entries(&schema["properties"]).map(|(name, _)| name));
    }
    names.into_iter().map(|name| (operation.id(), name)).collect()
}

/// The key stands where the security scheme of the operation says, and nowhere else.
fn assert_carries_the_key(operation: &Operation<'_>, exchange: &Exchange) {
    let (header, request) = (operation.key(), &exchange.request);
    assert_eq!(request.header(&header.name), format!("{}{KEY}", header.prefix), "{exchange:?}");
    let with_key = request.headers.iter().filter(|(_, value)| value.contains(KEY));
    assert_eq!(with_key.count(), 1, "{exchange:?}");
    let text = String::from_utf8_lossy(&request.body);
    assert!(!text.contains(KEY) && !request.target.contains(KEY), "{exchange:?}");
}

#[tokio::test]
async fn every_answer_of_the_sandbox_fits_the_spec() {
    for (operation, exchange) in documented().await {
        let (_, response) = operation
            .response(exchange.status)
            .unwrap_or_else(|| panic!("{} is not documented: {exchange:?}", exchange.status));
        if let Some(content) = response.get("content") {
            let [kind] = exchange.all("content-type")[..] else { panic!("{exchange:?}") };
            let media = content.get(kind);
            let media = media.unwrap_or_else(|| panic!("{kind} is not documented: {exchange:?}"));
            assert_fits(&media["schema"], &exchange.json(), exchange);
        }
        for (name, header) in entries(&response["headers"]) {
            // The document says where there is such a header, not that there must be one. Only a
            // rate limit that does not say how long it lasts would be of no use to a client.
            let values = exchange.all(name);
            assert!(!values.is_empty() || exchange.status != 429, "no {name}: {exchange:?}");
            for value in values {
                assert_fits(&header["schema"], &Value::from(value), exchange);
                assert!(value.parse::<u32>().is_ok(), "{name}: {exchange:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_spec_does_not_document_is_refused_in_the_words_of_the_spec() {
    let mut seen = BTreeSet::new();
    let all = exchanges().await.iter();
    for exchange in all.filter(|exchange| operation(exchange).is_none()) {
        seen.insert(exchange.status);
        assert_eq!(exchange.all("content-type"), ["application/json"], "{exchange:?}");
        assert_fits(spec().schema("ErrorBody"), &exchange.json(), exchange);
    }
    assert_eq!(seen, BTreeSet::from([404, 405, 415]));
}

#[tokio::test]
async fn the_sandbox_refuses_exactly_what_the_spec_refuses() {
    let mut refused = BTreeSet::new();
    for (operation, exchange) in documented().await {
        let (request, status) = (&exchange.request, exchange.status);
        let Some((_, media)) = operation.request().first().copied() else { continue };
        if !matches!(status, 200..300 | 400) {
            continue;
        }
        let body = serde_json::from_slice(&request.body);
        let mut fits = body.is_ok_and(|body| spec().misfits(&media["schema"], &body).is_empty());
        for (name, parameter) in operation.headers() {
            for value in request.all(name) {
                fits &= spec().misfits(&parameter["schema"], &Value::from(value)).is_empty();
            }
        }
        assert_eq!(fits, status != 400, "{exchange:?}");
        if !fits {
            refused.insert(operation.id());
        }
    }
    let with_body = spec().operations().into_iter().filter(|known| !known.request().is_empty());
    assert_eq!(refused, with_body.map(|known| known.id()).collect());
}

#[tokio::test]
async fn every_answer_of_the_spec_was_seen() {
    let mut unseen = BTreeSet::new();
    for operation in spec().operations() {
        // No request makes the sandbox fail; what a client makes of a 5XX is tested elsewhere.
        let answers = operation.responses().filter(|(name, _)| *name != "5XX");
        unseen.extend(answers.map(|(name, _)| (operation.id(), name)));
    }
    assert!(unseen.len() > 20, "{unseen:?}");
    for (operation, exchange) in documented().await {
        if let Some((name, _)) = operation.response(exchange.status) {
            unseen.remove(&(operation.id(), name));
        }
    }
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[tokio::test]
async fn every_member_of_an_answer_was_seen() {
    let mut unseen = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (operation, exchange) in documented().await {
        let Some((_, response)) = operation.response(exchange.status) else { continue };
        let Some(media) = response["content"].get("application/json") else { continue };
        note(&media["schema"], Some(&exchange.json()), &mut unseen, &mut seen);
    }
    let unseen: Vec<_> = unseen.difference(&seen).map(String::as_str).collect();
    assert_eq!(unseen, UNSENT);
}

/// Notes the documented members of a schema, and those that a value has.
fn note(
    schema: &Value,
    value: Option<&Value>,
    known: &mut BTreeSet<String>,
    seen: &mut BTreeSet<String>,
) {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    for (member, schema) in entries(&spec().resolved(schema)["properties"]) {
        let place = format!("{}.{member}", name.unwrap_or_default());
        let value = value.and_then(|value| value.get(member));
        if value.is_some() {
            seen.insert(place.clone());
        }
        known.insert(place);
        note(schema, value, known, seen);
    }
}

fn assert_fits(schema: &Value, value: &Value, exchange: &Exchange) {
    let misfits = spec().misfits(schema, value);
    assert!(misfits.is_empty(), "{misfits:?} in {exchange:?}");
}

/// What the sandbox has no occasion to say.
const UNSENT: [&str; 1] = ["UsageStats.metadata"];
