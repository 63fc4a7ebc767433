//! See `src/enforce.rs`.

#![no_main]

use std::cell::RefCell;

use esper_rs_client_fuzz::enforce::Stage;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

fuzz_target!(|input: &[u8]| STAGE.with_borrow_mut(|stage| stage.play(input)));
