//! The trace that a call is a part of.

use esper_rs_client::{MitigationRequest, TraceContext};
use esper_sandbox::Operation;

use crate::enforce::site::Site;
use crate::enforce::solving::calls;
use crate::support::client;

#[tokio::test]
async fn a_decision_is_a_part_of_the_trace_of_its_request() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let site = Site::new().await;
    let visit = |parent: &'static str| site.call("/").header("traceparent", parent);
    visit(PARENT).header("tracestate", "vendor=secret").send().await.unwrap();
    visit("not one").send().await.unwrap();
    let trace = TraceContext::new(PARENT).unwrap().with_state("vendor=1").unwrap();
    let request = MitigationRequest::new("203.0.113.7");
    let client = client(site.sandbox.url());
    trace.scope(client.check_mitigation(&request)).await.unwrap();
    client.check_mitigation(&request).await.unwrap();

    let seen: Vec<_> = calls(&site.sandbox, Operation::CheckMitigation)
        .iter()
        .map(|call| {
            let header = |wanted| {
                let mut headers = call.headers();
                headers.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
            };
            (header("traceparent"), header("tracestate"))
        })
        .collect();
    let parent = Some(PARENT.to_owned());
    let expected =
        [(parent.clone(), None), (None, None), (parent, Some("vendor=1".to_owned())), (None, None)];
    assert_eq!(seen, expected);
}
