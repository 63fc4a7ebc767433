//! A user of the edited crate. It is built there, as an example; nothing here compiles it.

use esper_rs_client::{
    AsyncEsperClient, BeaconEvent, Branch, EsperConfig, MitigationRequest, Tree,
};

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("a url");
    let config = EsperConfig::new("sk_probe").with_api_url(&url).with_beacon_url(&url);
    let client = AsyncEsperClient::new(config).expect("a client");
    let branches = vec![Branch::new("a").with_length(2.5), Branch::new("b")];
    let tree = Tree::new().with_branches(branches);
    let request = MitigationRequest::new("203.0.113.7").with_tenant("acme").with_tree(tree);
    let response = client.check_mitigation(&request).await.expect("a decision");
    println!("the case is {:?}", response.case_number);
    let geo = response.geo.clone().expect("a place");
    println!("from {} by {:?}", geo.country.expect("a country"), geo.provider);
    println!("otherwise {:?}", response.otherwise);
    println!("at risk of ASN {}", response.risk.and_then(|risk| risk.asn).expect("a risk"));
    let request = MitigationRequest::new("no address");
    println!("{}", client.check_mitigation(&request).await.expect_err("a refusal"));
    client.send_beacon_event(&BeaconEvent::new("http_request")).await.expect("accepted");
}
