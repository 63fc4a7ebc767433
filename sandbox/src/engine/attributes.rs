//! The attributes of an event or a request, alike for policies and entities.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::value::RawValue;

use crate::engine::Field;
use crate::wire::{BeaconEvent, InvalidRequest, MitigationRequest, member};

/// The attributes of an event or a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) kind: Option<&'a str>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) session_id: Option<&'a str>,
    pub(crate) headers: Option<&'a BTreeMap<String, String>>,
    pub(crate) data: Option<&'a Members>,
    /// The headers in an event's data, read when a policy first asks for one.
    pub(crate) data_headers: OnceCell<BTreeMap<String, &'a RawValue>>,
}

/// Members of any kind, by their names.
type Members = BTreeMap<String, Box<RawValue>>;

impl<'a> Attributes<'a> {
    /// The attributes of an event, if its members fit.
    pub(crate) fn of_event(event: &'a BeaconEvent) -> Result<Self, InvalidRequest> {
        member::not_blank("type", event.kind.as_deref())?;
        if let Some(time) = event.timestamp {
            member::not_negative("timestamp", time)?;
        }
        let ip = event.ip.as_deref().map(|ip| member::ip("ip", ip)).transpose()?;
        Ok(Self {
            kind: event.kind.as_deref(),
            ip: ip.map(|ip| ip.to_canonical()),
            user_agent: event.user_agent.as_deref(),
            path: event.path.as_deref(),
            method: event.method.as_deref(),
            session_id: event.session_id.as_deref(),
            headers: None,
            data: event.data.as_ref(),
            data_headers: OnceCell::new(),
        })
    }

    /// The attributes of a request, if it has an address.
    pub(crate) fn of_request(request: &'a MitigationRequest) -> Result<Self, InvalidRequest> {
        let ip = member::ip("ip", member::required("ip", request.ip.as_deref())?)?;
        Ok(Self {
            kind: None,
            ip: Some(ip.to_canonical()),
            user_agent: request.user_agent.as_deref(),
            path: request.path.as_deref(),
            method: request.method.as_deref(),
            session_id: None,
            headers: request.headers.as_ref(),
            data: request.metadata.as_ref(),
            data_headers: OnceCell::new(),
        })
    }

    /// The text of a field: a string as it is, a number or a truth value as JSON has it.
    pub(crate) fn text(&self, field: &Field) -> Option<Cow<'a, str>> {
        match field {
            Field::Type => self.kind.map(Cow::Borrowed),
            Field::ClientIp => self.ip.map(|ip| ip.to_string().into()),
            Field::UserAgent => self.user_agent.map(Cow::Borrowed),
            Field::Path => self.path.map(Cow::Borrowed),
            Field::Method => self.method.map(Cow::Borrowed),
            // A request has no member for it; the description's example has it in the metadata.
            Field::SessionId => match self.session_id {
                Some(session) => Some(session.into()),
                None if self.kind.is_none() => self.member("session_id").and_then(scalar),
                None => None,
            },
            Field::Header(name) => self.header(name),
            Field::Data(name) => self.member(name).and_then(scalar),
        }
    }

    /// Whether a field is there and not empty.
    pub(crate) fn has(&self, field: &Field) -> bool {
        let structured = |name| self.member(name).is_some_and(is_structured);
        match field {
            Field::Data(name) if structured(name) => true,
            _ => self.text(field).is_some_and(|text| !text.is_empty()),
        }
    }

    fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.data.and_then(|data| data.get(name)).map(AsRef::as_ref)
    }

    /// A header of a request; of an event one in `data.headers`, the place that is left for it.
    fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        if let Some(headers) = self.headers {
            return find(headers, name).map(|value| value.as_str().into());
        }
        let headers = self.data_headers.get_or_init(|| {
            let headers = self.member("headers").map(RawValue::get);
            headers.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
        });
        find(headers, name).and_then(|value| scalar(value))
    }
}

/// The value of a header. Of two that differ in their case alone the first is taken, in the order
/// of their names.
fn find<'h, T>(headers: &'h BTreeMap<String, T>, name: &str) -> Option<&'h T> {
    headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The text of a string, a number or a truth value.
pub(crate) fn scalar(json: &RawValue) -> Option<Cow<'_, str>> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok().map(Cow::Owned),
        _ if is_structured(json) => None,
        text => Some(text.into()),
    }
}

fn is_structured(json: &RawValue) -> bool {
    json.get().starts_with(['{', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> MitigationRequest {
        serde_json::from_str(json).expect("a request")
    }

    fn event(json: &str) -> BeaconEvent {
        serde_json::from_str(json).expect("an event")
    }

    #[test]
    fn a_member_of_an_event_and_of_a_request_is_the_same_field() {
        let request = request(r#"{"ip": "::1", "metadata": {"plan": "free", "session_id": "s"}}"#);
        let event = event(r#"{"type": "x", "session_id": "s", "data": {"plan": "free"}}"#);
        for attributes in [Attributes::of_request(&request), Attributes::of_event(&event)] {
            let attributes = attributes.expect("members that fit");
            assert_eq!(attributes.text(&Field::Data("plan".into())).as_deref(), Some("free"));
            assert_eq!(attributes.text(&Field::SessionId).as_deref(), Some("s"));
        }
    }

    #[test]
    fn the_session_of_an_event_is_a_member_of_its_own() {
        let event = event(r#"{"type": "x", "data": {"session_id": "s"}}"#);
        let attributes = Attributes::of_event(&event).expect("members that fit");
        assert_eq!(attributes.text(&Field::SessionId), None);
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        let request = request(r#"{"ip": "::1", "headers": {"Accept-Language": "de"}}"#);
        let event = event(r#"{"type": "x", "data": {"headers": {"ACCEPT-LANGUAGE": "de"}}}"#);
        for attributes in [Attributes::of_request(&request), Attributes::of_event(&event)] {
            let attributes = attributes.expect("members that fit");
            let field = Field::Header("accept-language".into());
            assert_eq!(attributes.text(&field).as_deref(), Some("de"));
        }
    }

    #[test]
    fn a_member_has_a_text_unless_it_is_structured() {
        let json = r#"{"a": "\u00e9", "b": 401, "c": true, "d": null, "e": [1], "f": {}, "g": ""}"#;
        let event = event(&format!(r#"{{"type": "x", "data": {json}}}"#));
        let attributes = Attributes::of_event(&event).expect("members that fit");
        for (name, text, present) in [
            ("a", Some("é"), true),
            ("b", Some("401"), true),
            ("c", Some("true"), true),
            ("d", None, false),
            ("e", None, true),
            ("f", None, true),
            ("g", Some(""), false),
            ("h", None, false),
        ] {
            let field = Field::Data(name.into());
            assert_eq!(attributes.text(&field).as_deref(), text, "{name}");
            assert_eq!(attributes.has(&field), present, "{name}");
        }
    }
}
