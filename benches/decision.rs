//! What a decision costs its caller, beside the same request by reqwest and serde alone.
//!
//! ```sh
//! taskset -c 0 cargo bench --bench decision
//! ```
//!
//! Both talk to one server in a process of its own, over one kept-alive connection each, in turns
//! of a few hundred calls. Medians of the turns are compared, so that a noisy neighbour of the
//! machine hurts both alike. On one core (`taskset`), neither pays for waking another. Linux only: CPU time is
//! read from `/proc`.

use std::fs;
use std::time::{Duration, Instant};

use esper_rs_client::{AsyncEsperClient, EsperConfig, MitigationRequest, MitigationResponse};

use self::support::{Endpoint, KEY, Outcome, serves};

mod support;

const CALLS: usize = 400;
const TURNS: usize = 41;

fn main() -> Outcome<()> {
    if serves()? {
        return Ok(());
    }
    let endpoint = Endpoint::start(Duration::ZERO)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare(&endpoint.url))
}

async fn compare(url: &str) -> Outcome<()> {
    let config = EsperConfig::new(KEY).with_api_url(url).with_beacon_url(url);
    let sdk = AsyncEsperClient::new(config)?;
    let bare = reqwest::Client::builder().no_proxy().build()?;
    let endpoint = format!("{url}/v1/mitigate");
    let request = MitigationRequest::new("203.0.113.7")
        .with_user_agent("Mozilla/5.0 (X11; Linux x86_64)")
        .with_path("/checkout")
        .with_method("POST");

    let (mut of_bare, mut of_sdk) = (Vec::new(), Vec::new());
    // The first turn of each opens its connection, and is not counted.
    for turn in 0..=TURNS {
        let cost = measure(async || {
            let sent = bare.post(&endpoint).bearer_auth(KEY).json(&request).send().await?;
            Ok(sent.error_for_status()?.json::<MitigationResponse>().await?)
        });
        let cost_of_bare = cost.await?;
        let cost = measure(async || Ok(sdk.check_mitigation(&request).await?));
        let cost_of_sdk = cost.await?;
        if turn > 0 {
            of_bare.push(cost_of_bare);
            of_sdk.push(cost_of_sdk);
        }
    }

    println!("{TURNS} turns of {CALLS} calls each; medians per call");
    println!("| client | wall | CPU of the caller |\n|---|---|---|");
    for (name, costs) in [("reqwest with serde", &of_bare), ("check_mitigation", &of_sdk)] {
        let (wall, cpu) = (median(costs, |cost| cost.wall), median(costs, |cost| cost.cpu));
        println!("| {name} | {wall:.1} µs | {cpu:.1} µs |");
    }
    let ratio = |part: fn(&Cost) -> Duration| median(&of_sdk, part) / median(&of_bare, part);
    println!("| ratio | {:.3} | {:.3} |", ratio(|cost| cost.wall), ratio(|cost| cost.cpu));
    Ok(())
}

/// What a turn took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

async fn measure(call: impl AsyncFn() -> Outcome<MitigationResponse>) -> Outcome<Cost> {
    let (started, cpu) = (Instant::now(), cpu_time()?);
    for _ in 0..CALLS {
        assert!(call().await?.is_allowed());
    }
    Ok(Cost { wall: started.elapsed(), cpu: cpu_time()? - cpu })
}

/// Microseconds per call, in the median of the turns.
fn median(costs: &[Cost], part: fn(&Cost) -> Duration) -> f64 {
    support::median(costs.iter().map(part)) * 1e6 / CALLS as f64
}

/// The time that this thread has had a processor; the runtime has no other thread.
fn cpu_time() -> Outcome<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
