//! See `src/policies.rs`.

#![no_main]

use esper_rs_client_fuzz::policies::run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| play(input));
