//! The spec alone decides: an edit of `openapi/esper.yaml`, and of nothing else, changes what goes
//! over the wire and what users can read and set; a mistake in it is told with its place.

use serde_json::json;

mod copy;
mod mistakes;

use crate::support::{Answer, RawServer};
use copy::WorkspaceCopy;

#[test]
fn an_edit_of_the_spec_changes_what_is_sent_and_what_can_be_read() {
    let copy = WorkspaceCopy::new("spec-edit");
    copy.write("openapi/esper.yaml", &edited(EDITS));
    copy.write("examples/probe.rs", include_str!("spec_edit/probe.rs"));

    let server = RawServer::start(|_, request| match request.target.as_str() {
        "/v2/decide" => Answer::json(200, r#"{"action":"allow","case_number":7}"#),
        _ => Answer::status(202),
    });
    let outcome = copy.run_example("probe", &server.url());
    assert!(outcome.success, "{}", outcome.text);
    assert!(outcome.text.contains("the case is Some(7)"), "{}", outcome.text);

    let [decision, event] = server.received().try_into().expect("two requests");
    assert_eq!((decision.method.as_str(), decision.target.as_str()), ("POST", "/v2/decide"));
    assert_eq!(decision.header("authorization"), "Bearer sk_probe");
    assert_eq!(decision.json(), json!({ "ip": "203.0.113.7", "tenant": "acme" }));
    assert_eq!((event.method.as_str(), event.target.as_str()), ("POST", "/v1/events"));
    assert_eq!(event.header("x-other-key"), "sk_probe");
    assert!(event.all("x-esper-key").is_empty(), "{event:?}");
}

/// The spec with texts replaced, each of which stands there once.
fn edited(edits: &[(&str, &str)]) -> String {
    let spec = include_str!("../../openapi/esper.yaml").to_owned();
    edits.iter().fold(spec, |spec, (from, to)| {
        assert_eq!(spec.matches(from).count(), 1, "{from:?} in the spec");
        spec.replacen(from, to, 1)
    })
}

const EDITS: &[(&str, &str)] = &[
    ("\n  /v1/mitigate:\n", "\n  /v2/decide:\n"),
    ("      name: X-Esper-Key\n", "      name: X-Other-Key\n"),
    (
        "        return_url:\n          description:",
        "        tenant:\n          description: Whose application it is.\n          \
         type: string\n        tree:\n          $ref: '#/components/schemas/Tree'\n        \
         return_url:\n          description:",
    ),
    (
        "\n    MitigationResponse:\n",
        "\n    Tree:\n      type: object\n      properties:\n        children:\n          type: array\n          \
         items:\n            $ref: '#/components/schemas/Tree'\n    MitigationResponse:\n",
    ),
    (
        "        score:\n          description:",
        "        case_number:\n          description: Where to ask.\n          type: integer\n          \
         format: int64\n        score:\n          description:",
    ),
];
