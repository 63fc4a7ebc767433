//! What the sandbox bears: decisions and events at once, for a thousand entities and for a million.
//!
//! ```sh
//! cargo bench -p esper-sandbox --bench load
//! ```
//!
//! The sandbox, with its console, and a server of the same framework that answers constants take
//! turns under the same load, each in a process of its own, for each number of entities. Every
//! entity has sent three events before. The policies are the starters with windows of an hour (and
//! thresholds that nobody reaches), as with theirs of seconds most entities would be forgotten
//! before the load begins.
//!
//! The clients share the machine with the server, so the rate is that of both together; the time
//! that the server itself computes for a request stands beside it. Linux only: memory and time are
//! read from `/proc`.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use esper_sandbox::{STARTER_POLICIES, Sandbox};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const EVENTS_EACH: u32 = 3;
const CONNECTIONS: u32 = 8;
/// So many requests of each connection are a turn.
const REQUESTS: u32 = 4_000;
const TURNS: u32 = 9;
/// How many requests are sent at once while entities are made known; turns send one by one.
const PIPELINE: usize = 64;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    match env::args().nth(1).as_deref() {
        Some("--sandbox") => return serve_sandbox(),
        Some("--constants") => return serve_constants(),
        _ => {}
    }
    println!("{CONNECTIONS} connections, half of the requests are decisions and half are events;");
    println!("medians of {TURNS} turns of {} requests each", CONNECTIONS * REQUESTS);
    println!("| entities | server | requests/s | p50 | p99 | computing | memory | growth |");
    println!("|---|---|---|---|---|---|---|---|");
    SIZES.into_iter().try_for_each(compare)
}

fn compare(entities: u32) -> Outcome<()> {
    let (sandbox, constants) = (Server::start("--sandbox")?, Server::start("--constants")?);
    let before = sandbox.resident()?;
    sandbox.learn(entities)?;
    let growth = sandbox.resident()?.saturating_sub(before);
    let (mut of_sandbox, mut of_constants) = (Vec::new(), Vec::new());
    for round in 0..TURNS {
        of_sandbox.push(sandbox.load(round, entities)?);
        of_constants.push(constants.load(round, entities)?);
    }
    let sandbox_rate = report(entities, "sandbox", &of_sandbox, sandbox.resident()?, growth);
    let rate = report(entities, "constants", &of_constants, constants.resident()?, 0);
    println!("| {entities} | ratio | {:.3} | | | | | |", sandbox_rate / rate);
    Ok(())
}

fn report(entities: u32, name: &str, turns: &[Turn], memory: u64, growth: u64) -> f64 {
    let median = |part: fn(&Turn) -> f64| {
        let mut values: Vec<_> = turns.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate = median(|turn| turn.rate);
    let (p50, p99) = (median(|turn| turn.p50), median(|turn| turn.p99));
    let computing = median(|turn| turn.computing);
    let (memory, growth) = (memory >> 20, growth >> 20);
    println!(
        "| {entities} | {name} | {rate:.0} | {p50:.0} µs | {p99:.0} µs | {computing:.1} µs | \
         {memory} MiB | {growth} MiB |"
    );
    rate
}

/// What a turn showed; times in microseconds.
struct Turn {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Of the server, for each request.
    computing: f64,
}

/// A server in a process of its own. It ends with this.
struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(kind: &str) -> Outcome<Self> {
        let process = Command::new(env::current_exe()?).arg(kind).stdout(Stdio::piped()).spawn()?;
        // From here on it ends with this, even if it says nothing of use.
        let mut server = Self { process, addr: (Ipv4Addr::LOCALHOST, 0).into() };
        let output = server.process.stdout.take().ok_or("the server has no output")?;
        let mut addr = String::new();
        BufReader::new(output).read_line(&mut addr)?;
        server.addr = addr.trim().parse()?;
        Ok(server)
    }

    /// Sends the events of every entity, in turns, so that nobody's come one after the other.
    fn learn(&self, entities: u32) -> Outcome<()> {
        let mut connection = Connection::open(self.addr)?;
        for _ in 0..EVENTS_EACH {
            let numbers: Vec<_> = (0..entities).collect();
            for batch in numbers.chunks(PIPELINE) {
                batch.iter().try_for_each(|number| connection.write(&event(*number)))?;
                batch.iter().try_for_each(|_| connection.read())?;
            }
        }
        Ok(())
    }

    /// Decisions and events of all connections at once.
    fn load(&self, round: u32, entities: u32) -> Outcome<Turn> {
        let computed_before = self.computed()?;
        let start = Barrier::new(CONNECTIONS as usize + 1);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|number| {
                    let start = &start;
                    scope.spawn(move || {
                        let connection = Connection::open(self.addr);
                        start.wait();
                        let first = (round * CONNECTIONS + number) * REQUESTS;
                        let times = connection.and_then(|mut to| to.take_turns(first, entities));
                        times.map_err(|error| error.to_string())
                    })
                })
                .collect();
            start.wait();
            let started = Instant::now();
            let mut times = Vec::new();
            for client in clients {
                times.extend(client.join().map_err(|_| "a client panicked")??);
            }
            let elapsed = started.elapsed();
            times.sort_unstable();
            let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
            let rate = times.len() as f64 / elapsed.as_secs_f64();
            let computed = self.computed()?.saturating_sub(computed_before);
            let computing = computed.as_secs_f64() * 1e6 / times.len() as f64;
            Ok(Turn { rate, p50: at(0.5), p99: at(0.99), computing })
        })
    }

    /// How long all threads of the process have computed.
    fn computed(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += stat.split_whitespace().next().ok_or("no figure")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The resident memory of the process, in bytes.
    fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it is gone already, there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is kept alive.
struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { reader: BufReader::new(stream), line: String::new(), body: Vec::new() })
    }

    /// Asks and tells in turns, about entities all over the range, and times each request.
    fn take_turns(&mut self, first: u32, entities: u32) -> Outcome<Vec<Duration>> {
        let mut times = Vec::new();
        for turn in 0..REQUESTS {
            // A step that has no factor in common with the sizes, so that all have their turn.
            let entity = (u64::from(first + turn) * 7_919 % u64::from(entities)) as u32;
            let request = if turn % 2 == 0 { decision(entity) } else { event(entity) };
            let started = Instant::now();
            self.write(&request)?;
            self.read()?;
            times.push(started.elapsed());
        }
        Ok(times)
    }

    fn write(&mut self, request: &str) -> Outcome<()> {
        Ok(self.reader.get_mut().write_all(request.as_bytes())?)
    }

    /// Reads an answer, and fails where it is no success.
    fn read(&mut self) -> Outcome<()> {
        let mut length = 0;
        let mut first = true;
        loop {
            self.line.clear();
            if self.reader.read_line(&mut self.line)? == 0 {
                return Err("the server closed".into());
            }
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if first && !line.starts_with("HTTP/1.1 20") {
                return Err(format!("not a success: {line}").into());
            }
            first = false;
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse()?;
            }
        }
        self.body.resize(length, 0);
        Ok(self.reader.read_exact(&mut self.body)?)
    }
}

fn event(entity: u32) -> String {
    let body = visitor(entity, json!({ "type": "http_request" }));
    post_of("/v1/events", "x-esper-key: esper-sandbox-key", &body)
}

fn decision(entity: u32) -> String {
    post_of("/v1/mitigate", "authorization: Bearer esper-sandbox-key", &visitor(entity, json!({})))
}

fn visitor(entity: u32, mut body: Value) -> String {
    body["ip"] = Ipv4Addr::from_bits(entity).to_string().into();
    body["user_agent"] =
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into();
    body["path"] = "/".into();
    body["method"] = "GET".into();
    body.to_string()
}

fn post_of(path: &str, key: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: sandbox\r\n{key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn serve_sandbox() -> Outcome<()> {
    let policies = STARTER_POLICIES
        .replace("seconds = 10,", "seconds = 3600,")
        .replace("seconds = 60,", "seconds = 3600,")
        .replace("over = ", "over = 9");
    let sandbox = Sandbox::builder().policies(policies).start_blocking()?;
    println!("{}", sandbox.addr());
    loop {
        thread::park();
    }
}

/// What the framework itself takes: the same answers without a thought.
fn serve_constants() -> Outcome<()> {
    let app = Router::new()
        .route("/v1/mitigate", post(async |_: Json<Value>| allow()))
        .route("/v1/events", post(async |_: Json<Value>| StatusCode::ACCEPTED));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, app).await?;
        Ok(())
    })
}

fn allow() -> Json<Value> {
    Json(json!({ "action": "allow", "score": 1.5 }))
}
