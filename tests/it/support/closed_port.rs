//! A port at which nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// Refuses every connection. The port is taken, so that no server of another test gets it.
pub(crate) struct ClosedPort(Socket);

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        let address = self.0.local_addr().expect("an address").as_socket();
        format!("http://{}", address.expect("an address of IPv4"))
    }
}
