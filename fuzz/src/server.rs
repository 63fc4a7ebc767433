//! Reads a request, says what it was told to say, and closes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    /// Nothing, when it is over.
    reply: Arc<Mutex<Option<Reply>>>,
}

/// What is answered, and how.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes are sent at once.
    pub(crate) piece: usize,
    /// Whether the connection stays open after the last byte.
    pub(crate) holds: bool,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let reply = Arc::new(Mutex::new(Some(Reply::default())));
        let theirs = Arc::clone(&reply);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reply = theirs.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some(reply) = reply else { break };
                // A client that goes away in between is right to.
                let _ = answer(stream, &reply);
            }
        });
        Self { address, reply }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets what the next requests are answered with.
    pub(crate) fn say(&self, reply: Reply) {
        self.set(Some(reply));
    }

    fn set(&self, reply: Option<Reply>) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.set(None);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    read_request(&mut stream)?;
    let pieces = reply.bytes.chunks(reply.piece.max(1));
    for piece in pieces {
        stream.write_all(piece)?;
        // Lets the client see the piece by itself.
        thread::yield_now();
    }
    if reply.holds {
        // Ends with the connection, which the client closes.
        let _ = stream.read(&mut [0])?;
    }
    Ok(())
}

/// Reads all of a request: what was left unread would turn the end of the connection into a reset.
fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let end = request.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
            if request.len() >= end + 4 + length {
                return Ok(());
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&part[..read]),
        }
    }
}

/// Longer than every deadline of the client.
const LIMIT: Duration = Duration::from_secs(20);
