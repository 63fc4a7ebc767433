//! See `src/sandbox_bodies.rs`.

#![no_main]

use std::cell::RefCell;

use esper_rs_client_fuzz::sandbox_bodies::Harness;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static HARNESS: RefCell<Harness> = RefCell::new(Harness::new());
}

fuzz_target!(|input: &[u8]| HARNESS.with_borrow_mut(|harness| harness.run(input)));
