//! What the enforcement layer costs an app, beside the same app without it.
//!
//! ```sh
//! cargo bench --bench enforce --features tower
//! ```
//!
//! The apps, the load and Esper's stand-in are processes of their own. The apps take turns under the
//! same load, and medians of the turns are compared; the longest is that of all turns. Linux only:
//! memory is read from `/proc`.

use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use std::{env, fs};

use axum::Router;
use axum::routing::get;
use esper_rs_client::enforce::{CacheOptions, ClientIpRules, EnforceLayer};
use esper_rs_client::{AsyncEsperClient, EsperConfig};

use self::support::load::{Load, Seen, loads};
use self::support::process::Process;
use self::support::{Endpoint, KEY, Outcome, median, serves};

mod support;

const CONNECTIONS: u32 = 8;
const REQUESTS: u32 = 2_500;
const TURNS: usize = 15;
const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Outcome<()> {
    if serves()? || loads()? || app()? {
        return Ok(());
    }
    println!("{TURNS} turns of {} requests, {CONNECTIONS} connections", CONNECTIONS * REQUESTS);
    println!("\n| app | requests/s | ratio |\n|---|---|---|");
    throughput()?;
    println!("\n| esper | app | p50 | p99 | longest |\n|---|---|---|---|---|");
    slow_service()?;
    black_hole()?;
    println!("\n| distinct visitors | memory |\n|---|---|");
    many_visitors()
}

/// An allow from the cache, with and without an event for each request.
fn throughput() -> Outcome<()> {
    let esper = Endpoint::start(Duration::ZERO)?;
    let apps = [
        ("without the layer", App::start("plain", &esper.url)?),
        ("a decision from the cache, no telemetry", App::start("cached", &esper.url)?),
        ("a decision from the cache, telemetry", App::start("telemetry", &esper.url)?),
    ];
    let mut rates = [const { Vec::new() }; 3];
    for turn in 0..=TURNS {
        for ((_, app), rates) in apps.iter().zip(&mut rates) {
            let seen = app.load(CONNECTIONS, REQUESTS)?;
            // The first turn warms up.
            if turn > 0 {
                rates.push(seen.rate);
            }
        }
    }
    let medians = rates.map(median);
    for ((name, _), rate) in apps.iter().zip(medians) {
        println!("| {name} | {rate:.0} | {:.3} |", rate / medians[0]);
    }
    Ok(())
}

fn slow_service() -> Outcome<()> {
    let esper = Endpoint::start(Duration::from_millis(5))?;
    let mut p50 = [0.0; 2];
    for (kind, p50) in ["plain", "asking"].into_iter().zip(&mut p50) {
        let app = App::start(kind, &esper.url)?;
        app.load(1, 50)?;
        let seen = app.load(1, 400)?;
        *p50 = seen.p50;
        row("answers in 5 ms", kind, seen);
    }
    println!("| | added | {:.2} ms | | |", (p50[1] - p50[0]) * 1e3);
    Ok(())
}

fn black_hole() -> Outcome<()> {
    // It accepts connections, and answers none.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", silent.local_addr()?);
    let plain = App::start("plain", &url)?;
    let asking = App::start("asking", &url)?;
    row("is silent, breaker closed", "asking", asking.load(1, 5)?);
    let mut turns = [const { Vec::new() }; 2];
    for _ in 0..TURNS {
        for (app, turns) in [&plain, &asking].into_iter().zip(&mut turns) {
            turns.push(app.load(CONNECTIONS, REQUESTS)?);
        }
    }
    let [plain, asking] = turns.map(|turns| Seen::middle(&turns));
    row("is silent", "plain", plain);
    row("is silent, breaker open", "asking", asking);
    println!("| | ratio | {:.2} | {:.2} | |", asking.p50 / plain.p50, asking.p99 / plain.p99);
    Ok(())
}

impl Seen {
    /// Of several turns the median of each figure, and the longest of all.
    fn middle(turns: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| median(turns.iter().map(figure));
        Self {
            rate: median(|seen| seen.rate),
            p50: median(|seen| seen.p50),
            p99: median(|seen| seen.p99),
            longest: turns.iter().map(|seen| seen.longest).fold(0.0, f64::max),
        }
    }
}

fn many_visitors() -> Outcome<()> {
    let esper = Endpoint::start(Duration::ZERO)?;
    let app = App::start("forwarded", &esper.url)?;
    let mut seen: u32 = 0;
    for visitors in [1_000, 100_000, 1_000_000, 10_000_000] {
        let requests = (visitors - seen) / CONNECTIONS;
        let load = Load {
            addr: app.addr,
            connections: CONNECTIONS,
            requests,
            visitors_from: Some(seen + 0x0b00_0000),
        };
        load.run()?;
        seen = visitors;
        println!("| {visitors} | {} MiB |", app.resident()? >> 20);
    }
    Ok(())
}

fn row(esper: &str, app: &str, seen: Seen) {
    let [p50, p99, longest] = [seen.p50, seen.p99, seen.longest].map(|time| time * 1e3);
    println!("| {esper} | {app} | {p50:.2} ms | {p99:.2} ms | {longest:.1} ms |");
}

/// An app in a process of its own. It ends with this.
struct App {
    process: Process,
    addr: SocketAddr,
}

impl App {
    fn start(kind: &str, esper: &str) -> Outcome<Self> {
        let (process, mut output) = Process::again(&[APP, kind, esper])?;
        let mut addr = String::new();
        output.read_line(&mut addr)?;
        Ok(Self { process, addr: addr.trim().parse()? })
    }

    fn load(&self, connections: u32, requests: u32) -> Outcome<Seen> {
        Load { addr: self.addr, connections, requests, visitors_from: None }.run()
    }

    /// The resident memory of the process, in bytes.
    fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024)
    }
}

/// Serves an app where this process is to be one; returns false where it is not.
fn app() -> Outcome<bool> {
    let mut arguments = env::args().skip_while(|argument| argument != APP).skip(1);
    let (Some(kind), Some(esper)) = (arguments.next(), arguments.next()) else { return Ok(false) };
    let app = Router::new().route("/checkout", get(async || "checkout"));
    let config = EsperConfig::new(KEY).with_api_url(&esper).with_beacon_url(&esper);
    let layer = EnforceLayer::new(AsyncEsperClient::new(config)?);
    let cached =
        |layer: EnforceLayer| layer.with_cache(CacheOptions::new().with_allow_lifetime(HOUR));
    let app = match kind.as_str() {
        "plain" => app,
        "cached" => app.layer(cached(layer).with_telemetry_share(0.0)),
        "telemetry" => app.layer(cached(layer)),
        "asking" => app.layer(layer.with_telemetry_share(0.0)),
        "forwarded" => {
            let proxies = ClientIpRules::behind_proxies(["127.0.0.1"])?;
            app.layer(cached(layer).with_client_ip(proxies).with_telemetry_share(0.0))
        }
        _ => return Err(format!("no such app: {kind}").into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    Ok(true)
}

const APP: &str = "--app";
