//! See `src/enforce/fuzzed.rs` of the crate.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| esper_rs_client::enforce::fuzzed::path(input));
