//! What the benchmarks share: processes that end with them, an endpoint in one, medians and percentiles.

#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use std::{env, thread};

use self::process::Process;

pub(crate) mod load;
pub(crate) mod process;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The key of the clients. The endpoint takes any.
pub(crate) const KEY: &str = "sk_bench_0123456789";

/// A server that lets everybody pass, as fast as it can or after some time. It ends with this.
pub(crate) struct Endpoint {
    _process: Process,
    pub(crate) url: String,
}

impl Endpoint {
    /// Starts the program that runs now once more, as a server.
    pub(crate) fn start(latency: Duration) -> Outcome<Self> {
        let (process, mut output) = Process::again(&[SERVE, &latency.as_micros().to_string()])?;
        let mut url = String::new();
        output.read_line(&mut url)?;
        Ok(Self { _process: process, url: url.trim().to_owned() })
    }
}

/// Serves for ever where this process is to be the endpoint; returns false where it is not.
pub(crate) fn serves() -> Outcome<bool> {
    let mut arguments = env::args().skip_while(|argument| argument != SERVE).skip(1);
    let Some(latency) = arguments.next() else { return Ok(false) };
    let latency = Duration::from_micros(latency.parse()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        thread::spawn(move || answer_all(&stream, latency));
    }
    Ok(true)
}

fn answer_all(stream: &TcpStream, latency: Duration) -> Option<()> {
    let body = r#"{"action":"allow","score":4.0,"metadata":{"policy":"none"}}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
    let answer = format!("{head} {}\r\n\r\n{body}", body.len());
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok()?;
                }
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        if !latency.is_zero() {
            thread::sleep(latency);
        }
        (&*stream).write_all(answer.as_bytes()).ok()?;
    }
}

/// The value in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What this share of sorted times stays below or at.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[(sorted.len().saturating_sub(1) as f64 * share) as usize]
}

const SERVE: &str = "--serve";
