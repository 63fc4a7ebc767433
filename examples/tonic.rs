//! A gRPC service behind the layer, and a client that is refused.
//!
//! ```sh
//! cargo run --features tower --example tonic
//! ```

use std::error::Error;
use std::net::Ipv4Addr;

use esper_rs_client::enforce::EnforceLayer;
use esper_rs_client::{AsyncEsperClient, EsperConfig};
use esper_sandbox::Sandbox;
use tonic::Code;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start().await;
    let config = EsperConfig::new(sandbox.api_key())
        .with_api_url(sandbox.url())
        .with_beacon_url(sandbox.url());

    // tonic notes the address of a connection in an extension of its own.
    let layer = EnforceLayer::new(AsyncEsperClient::new(config)?).with_peer(|extensions| {
        let connection = extensions.get::<TcpConnectInfo>()?;
        Some(connection.remote_addr()?.ip())
    });
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let url = format!("http://{}", incoming.local_addr()?);
    let server = Server::builder().layer(layer).add_service(health);
    let server = tokio::spawn(server.serve_with_incoming(incoming));

    let mut client = HealthClient::new(Channel::from_shared(url)?.connect().await?);
    let answer = client.check(HealthCheckRequest::default()).await?.into_inner();
    println!("A first call is answered: {:?}", answer.status());

    sandbox.block("127.0.0.1");
    let status = client.check(HealthCheckRequest::default()).await.err().ok_or("it passed")?;
    println!("After a block it is refused: {:?}, {}", status.code(), status.message());
    assert_eq!(status.code(), Code::PermissionDenied);

    sandbox.lift("127.0.0.1");
    let answer = client.check(HealthCheckRequest::default()).await?.into_inner();
    println!("Once it is lifted it is answered again: {:?}", answer.status());

    server.abort();
    sandbox.stop().await;
    Ok(())
}
