//! See `src/policies.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| esper_rs_client_fuzz::policies::run(input));
