//! Load from a process of its own, so that it takes nothing from the server's.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{Outcome, percentile};

/// How a server is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: u32,
    /// Of each connection, one after the other.
    pub(crate) requests: u32,
    /// Whether each request comes from another visitor, by `X-Forwarded-For`; the first one.
    pub(crate) visitors_from: Option<u32>,
}

/// What a load showed; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
}

impl Load {
    /// Loads the server from another process, and waits for what it says.
    pub(crate) fn run(self) -> Outcome<Seen> {
        let from = self.visitors_from.map_or("-".to_owned(), |from| from.to_string());
        let mut command = Command::new(env::current_exe()?);
        command.arg(LOAD).arg(self.addr.to_string()).arg(from);
        command.args([self.connections, self.requests].map(|number| number.to_string()));
        let output = command.output()?;
        let text = String::from_utf8(output.stdout)?;
        let numbers: Vec<f64> =
            text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        match numbers[..] {
            [rate, p50, p99, longest] => Ok(Seen { rate, p50, p99, longest }),
            _ => {
                Err(format!("the load failed: {}", String::from_utf8_lossy(&output.stderr)).into())
            }
        }
    }
}

/// Loads a server where this process is to do so; returns false where it is not.
pub(crate) fn loads() -> Outcome<bool> {
    let mut arguments = env::args().skip_while(|argument| argument != LOAD).skip(1);
    let Some(addr) = arguments.next() else { return Ok(false) };
    let mut next = || arguments.next().ok_or("an argument of the load is missing");
    let from = next()?.parse().ok();
    let (connections, requests) = (next()?.parse()?, next()?.parse()?);
    let load = Load { addr: addr.parse()?, connections, requests, visitors_from: from };
    let started = Instant::now();
    let mut times = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..connections).map(|number| scope.spawn(move || client(load, number))).collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(
                client.join().map_err(|_| "a client panicked")?.map_err(|e| e.to_string())?,
            );
        }
        Ok::<_, String>(times)
    })?;
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| percentile(&times, share).as_secs_f64();
    println!("{rate} {} {} {}", at(0.5), at(0.99), at(1.0));
    Ok(true)
}

fn client(load: Load, number: u32) -> Result<Vec<Duration>, std::io::Error> {
    let stream = TcpStream::connect(load.addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut times = Vec::with_capacity(load.requests as usize);
    let mut line = String::new();
    for turn in 0..load.requests {
        let from = load.visitors_from.map(|from| {
            let visitor = Ipv4Addr::from_bits(from + number * load.requests + turn);
            format!("X-Forwarded-For: {visitor}\r\n")
        });
        let from = from.unwrap_or_default();
        let request =
            format!("GET /checkout HTTP/1.1\r\nHost: shop.example\r\n{from}{HEADERS}\r\n");
        let started = Instant::now();
        reader.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 200") {
                return Err(std::io::Error::other(line));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// What a browser sends.
const HEADERS: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Cookie: session=0123456789abcdef; theme=dark\r\nSec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";
const LOAD: &str = "--load";
