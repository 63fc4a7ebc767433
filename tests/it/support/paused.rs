//! A runtime whose clock moves only in small steps, and a server in it: what takes seconds takes
//! none, and a deadline can be held to the millisecond.
//!
//! Tokio's own way to pause a clock jumps to the next timer whenever a task waits for a socket.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{advance, sleep};

use super::raw::{Answer, DRIBBLE, http};

/// A server that runs within [`run`], and ends with it.
pub(crate) struct PausedServer {
    port: u16,
    requests: Rc<Cell<usize>>,
    connections: Rc<Cell<usize>>,
}

/// Runs a future on a runtime of its own, whose clock moves as fast as the machine allows.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            biased;
            value = future => value,
            () = tick() => unreachable!("a clock does not end"),
        }
    })
}

impl PausedServer {
    /// Gives the answers in turn, over and over, each so much later than its request came.
    pub(crate) async fn start(answers: Vec<(Answer, Duration)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Rc::new(Cell::new(0));
        let connections = Rc::new(Cell::new(0));
        let (counter, answers) = (Rc::clone(&requests), Rc::new(answers));
        let accepted = Rc::clone(&connections);
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.set(accepted.get() + 1);
                let (counter, answers) = (Rc::clone(&counter), Rc::clone(&answers));
                spawn_local(async move { serve(stream, &counter, &answers).await });
            }
        });
        Self { port, requests, connections }
    }

    /// Gives every request the same answer at once.
    pub(crate) async fn always(answer: Answer) -> Self {
        Self::start(vec![(answer, Duration::ZERO)]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.get()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
    }
}

/// Moves the clock when all that is to happen now has happened.
async fn tick() {
    loop {
        for _ in 0..TURNS {
            // The sockets are looked at in each turn. What a loopback socket is given is there at
            // once, so a few turns take a request to the server and its answer back.
            yield_now().await;
        }
        advance(TICK).await;
    }
}

/// Ends with the connection.
async fn serve(stream: TcpStream, requests: &Cell<usize>, answers: &[(Answer, Duration)]) {
    let mut stream = BufStream::new(stream);
    while read(&mut stream).await.is_some() {
        let number = requests.replace(requests.get() + 1);
        let (answer, late) = &answers[number % answers.len()];
        sleep(*late).await;
        if act(&mut stream, answer).await.is_none() {
            return;
        }
    }
}

/// Returns nothing where the connection is over.
async fn act(stream: &mut BufStream<TcpStream>, answer: &Answer) -> Option<()> {
    match answer {
        Answer::Http(status, headers, body) => {
            return write(stream, &http(*status, headers, body)).await;
        }
        Answer::Bytes(bytes) => write(stream, bytes).await?,
        Answer::Reset(bytes) => {
            write(stream, bytes).await?;
            // A connection that does not linger ends with a reset.
            let _ = socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
        }
        Answer::Dribble(bytes) => {
            for byte in bytes.iter().cycle() {
                write(stream, &[*byte]).await?;
                sleep(DRIBBLE).await;
            }
        }
        Answer::Close => {}
        Answer::Silence => {
            // Ends with the connection, which the client closes.
            let _ = stream.read(&mut [0]).await;
        }
        Answer::Flood(_) => panic!("a flood takes no time of a clock; let a `RawServer` have it"),
    }
    None
}

async fn write(stream: &mut BufStream<TcpStream>, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// Reads one request, or nothing where the connection ends.
async fn read(stream: &mut BufStream<TcpStream>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        match line.to_ascii_lowercase().trim_end().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None if line == "\r\n" => break,
            None => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(())
}

/// By how much the clock moves at once.
const TICK: Duration = Duration::from_millis(1);
/// How late something can be: timers end with a tick, and what they wake may be seen in the next.
pub(crate) const LATE: Duration = TICK.saturating_mul(2);
const TURNS: usize = 16;
