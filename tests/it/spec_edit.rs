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
    // What src/guide/spec.md asks for a type that users name.
    let lib = include_str!("../../src/lib.rs");
    copy.write("src/lib.rs", &format!("{lib}\npub use generated::types::{{Branch, Tree}};\n"));

    let server = RawServer::start(|_, request| match request.target.as_str() {
        "/v2/decide" => Answer::json(200, ANSWER),
        _ => Answer::status(202),
    });
    let outcome = copy.run_example("probe", &server.url());
    assert!(outcome.success, "{}", outcome.text);
    for said in [
        "the case is Some(7)",
        "from CH by None",
        "otherwise None",
        "at risk of ASN 64500",
        "ip is not an IP address",
    ] {
        assert!(outcome.text.contains(said), "{said}: {}", outcome.text);
    }

    let [decision, event] = server.received().try_into().expect("two requests");
    assert_eq!((decision.method.as_str(), decision.target.as_str()), ("POST", "/v2/decide"));
    assert_eq!(decision.header("authorization"), "Bearer sk_probe");
    let branches = json!([{ "name": "a", "length": 2.5 }, { "name": "b" }]);
    let tree = json!({ "branches": branches });
    assert_eq!(decision.json(), json!({ "ip": "203.0.113.7", "tenant": "acme", "tree": tree }));
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

/// With a member that the edited spec does not know.
const ANSWER: &str = r#"{
    "action": "allow", "case_number": 7, "geo": { "country": "CH" }, "risk": { "asn": 64500 },
    "yet_to_come": 1
}"#;

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
        "\n    Branch:\n      type: object\n      required: [name]\n      properties:\n        name:\n          \
         type: string\n        length:\n          type: number\n    Tree:\n      type: object\n      \
         properties:\n        branches:\n          type: array\n          items:\n            $ref: \
         '#/components/schemas/Branch'\n        children:\n          type: array\n          \
         items:\n            $ref: '#/components/schemas/Tree'\n    MitigationResponse:\n",
    ),
    (
        "        score:\n          description:",
        "        case_number:\n          description: Where to ask.\n          type: integer\n          \
         format: int64\n        geo:\n          type: object\n          properties:\n            \
         country:\n              type: string\n            provider:\n              oneOf:\n                \
         - type: string\n                - type: integer\n        risk:\n          $ref: \
         '#/components/schemas/ASNRisk'\n        otherwise:\n          allOf:\n            - $ref: \
         '#/components/schemas/MitigationAction'\n          default: allow\n        score:\n          \
         description:",
    ),
    (
        "\n    UsageStats:\n",
        "\n    ASNRisk:\n      type: object\n      properties:\n        asn:\n          type: integer\n    \
         Address:\n      $ref: '#/components/schemas/IPAddress'\n    IPAddress:\n      type: string\n      \
         format: ip\n    Result:\n      type: object\n      properties:\n        a:\n          type: string\n    \
         UsageStats:\n",
    ),
    (
        "      description: A decision.\n      type: object\n",
        "      description: A decision.\n      type: object\n      additionalProperties: false\n",
    ),
    (
        "        ip:\n          description: Address of the visitor, IPv4 or IPv6, without a port.\n          \
         type: string\n          format: ip\n          example: 203.0.113.7\n        user_agent:\n          \
         description: The request's `User-Agent` header.\n",
        "        ip:\n          $ref: '#/components/schemas/Address'\n        hints:\n          default: {}\n        \
         user_agent:\n          description: The request's `User-Agent` header.\n",
    ),
    (
        "\n  /v1/events:\n",
        "\n  /v1/reports:\n    post:\n      operationId: report\n      x-esper-retry: always\n      \
         requestBody:\n        content:\n          application/json:\n            schema:\n              \
         $ref: '#/components/schemas/ASNRisk'\n      responses:\n        '204':\n          \
         description: Noted.\n\n  /v1/events:\n",
    ),
];
