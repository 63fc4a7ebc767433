//! Millions of events and decisions against an endpoint that fails at random: whatever happens, the
//! counts are exact, every decision is there, and memory is flat.
//!
//! ```sh
//! cargo test --test soak                      # a short one
//! cargo test --release --test soak -- --events 5000000 --decisions 1000000 --limit 3600
//! ```
//!
//! The endpoint is a process of its own, so that the memory is the client's, and so that it can be
//! killed. What it fails at, and when, follows from the seed, which is printed and can be given
//! again. Any panic, of whatever thread, and every count that does not add up end the run with a
//! failure; so does the limit. Linux only: memory is read from `/proc`.

use std::process::exit;
use std::time::Duration;
use std::{env, panic, thread};

#[expect(dead_code, reason = "tests need more of it")]
#[path = "../it/support/raw.rs"]
mod raw;

mod arguments;
mod chance;
mod decisions;
mod endpoint;
mod events;
mod faults;
mod ledger;
mod watch;

use arguments::Arguments;
use endpoint::Endpoint;

fn main() {
    let mut words = env::args().skip(1).peekable();
    if words.next_if_eq(endpoint::COMMAND).is_some() {
        return endpoint::serve(words);
    }
    let arguments = Arguments::read(words).unwrap_or_else(|message| {
        eprintln!("{message}");
        exit(2);
    });
    println!("{arguments}");
    fail_at_the_first_panic();
    end_at(arguments.limit);

    let endpoint = Endpoint::start(arguments.seed);
    // None of one kind is a way to have the other alone.
    if arguments.events > 0 {
        events::soak(&arguments, &endpoint);
    }
    if arguments.decisions > 0 {
        decisions::soak(&arguments, &endpoint);
    }
    println!("all of it holds");
}

/// A panic that something catches is one all the same.
fn fail_at_the_first_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        print(panic);
        exit(101);
    }));
}

fn end_at(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit);
        panic!("it did not end within {limit:?}");
    });
}
