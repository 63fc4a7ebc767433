//! The service that fails: a process of its own, and the handle to it.

use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, thread};

use crate::faults::Fault;
use crate::ledger::{Entry, Ledger};
use crate::raw::{Answer, RawServer, Received};

/// Stops when it is dropped.
pub(crate) struct Endpoint {
    port: u16,
    seed: u64,
    pub(crate) ledger: Ledger,
    process: Mutex<Process>,
}

struct Process {
    child: Child,
    /// Ends the process when it is closed, however this one ends.
    _life: ChildStdin,
    /// How often it was started again.
    restarts: u64,
}

impl Endpoint {
    /// Starts it on a free port.
    pub(crate) fn start(seed: u64) -> Self {
        let ledger = Ledger::new();
        let (child, life, port) = spawn(0, seed, &ledger);
        let process = Mutex::new(Process { child, _life: life, restarts: 0 });
        Self { port, seed, ledger, process }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it, leaves the port without anyone for a moment, and starts it there again.
    pub(crate) fn restart(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.end();
        thread::sleep(ABSENCE);
        let restarts = process.restarts + 1;
        let (child, life, _) = spawn(self.port, self.seed.wrapping_add(restarts), &self.ledger);
        *process = Process { child, _life: life, restarts };
        println!("the endpoint was killed and is back");
    }

    pub(crate) fn restarts(&self) -> u64 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).restarts
    }
}

impl Process {
    fn end(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.process.get_mut().unwrap_or_else(PoisonError::into_inner).end();
    }
}

fn spawn(port: u16, seed: u64, ledger: &Ledger) -> (Child, ChildStdin, u16) {
    let mut child = Command::new(env::current_exe().expect("a binary"))
        .args([COMMAND, &port.to_string(), &seed.to_string()])
        .arg(ledger.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let life = child.stdin.take().expect("its input");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("its port");
    (child, life, line.trim().parse().expect("a port"))
}

/// Is the endpoint, until its input ends.
pub(crate) fn serve(mut words: impl Iterator<Item = String>) {
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
    let (port, seed) = (number(), number());
    let ledger = Ledger::open(words.next().expect("a path"));
    let port = u16::try_from(port).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    println!("{}", listener.local_addr().expect("an address").port());
    stdout().flush().expect("somebody who reads");
    let _server = RawServer::on(listener, 0, move |number, request| {
        let fault = Fault::of(seed, number as u64);
        match request.target.as_str() {
            "/v1/events" => take(request, fault, &ledger),
            _ => decide(request, fault),
        }
    });
    // Ends with the other side of the pipe.
    let _ = stdin().read(&mut [0]);
}

/// Takes an event, and notes that before anyone can know.
fn take(event: &Received, fault: Option<Fault>, ledger: &Ledger) -> Answer {
    let key = event.header("idempotency-key");
    match fault {
        Some(Fault::Failed | Fault::Unavailable | Fault::Busy(_)) => {}
        Some(Fault::Refused) => ledger.note(key, Entry::Refused),
        None | Some(Fault::Slow(_)) => ledger.note(key, Entry::Answered),
        Some(
            Fault::Reset | Fault::ResetWithin | Fault::Closed | Fault::Truncated | Fault::Silent,
        ) => ledger.note(key, Entry::Unanswered),
    }
    let accepted = Answer::Http(202, vec![], String::new());
    answer(accepted, b"HTTP/1.1 202 Accep", fault)
}

/// Decides by the path alone, so that whoever asks knows what to expect.
fn decide(request: &Received, fault: Option<Fault>) -> Answer {
    let body = request.json();
    let path = body["path"].as_str().expect("a path");
    let decision = format!(r#"{{"action":"{}"}}"#, path.trim_start_matches('/'));
    let half = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n";
    answer(Answer::json(200, &decision), format!("{half}{decision}").as_bytes(), fault)
}

fn answer(proper: Answer, half: &[u8], fault: Option<Fault>) -> Answer {
    let error = |status| Answer::json(status, r#"{"message":"no"}"#);
    match fault {
        None => proper,
        Some(Fault::Failed) => error(500),
        Some(Fault::Unavailable) => Answer::Http(503, vec![], "<html>back soon</html>".into()),
        Some(Fault::Busy(seconds)) => error(429).with_header("retry-after", &seconds.to_string()),
        Some(Fault::Refused) => error(400),
        Some(Fault::Reset) => Answer::Reset(Vec::new()),
        Some(Fault::ResetWithin) => Answer::Reset(half.to_vec()),
        Some(Fault::Closed) => Answer::Close,
        Some(Fault::Truncated) => Answer::Bytes(half.to_vec()),
        Some(Fault::Silent) => Answer::Silence,
        Some(Fault::Slow(late)) => {
            thread::sleep(late);
            proper
        }
    }
}

/// The first word of the arguments of such a process.
pub(crate) const COMMAND: &str = "--endpoint";
/// How long nobody listens between a kill and the next start.
const ABSENCE: Duration = Duration::from_millis(300);
