//! See `src/addresses.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| esper_rs_client_fuzz::addresses::run(input));
