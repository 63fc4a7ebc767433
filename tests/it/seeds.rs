//! The seeds of the fuzz targets, played once each: what a fuzzer finds wrong stays right.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_answer_among_the_seeds_has_the_outcome_that_it_should() {
    let mut harness = targets::answer::Harness::new();
    run_all("answer", |seed| harness.run(seed));
}

#[test]
fn every_body_among_the_seeds_is_taken_or_refused_in_good_order() {
    let mut harness = targets::sandbox_bodies::Harness::new();
    run_all("sandbox_bodies", |seed| harness.run(seed));
}

#[test]
fn every_policy_file_among_the_seeds_is_read_or_refused_with_its_place() {
    run_all("policies", targets::policies::run);
}

#[cfg(feature = "tower")]
#[test]
fn every_header_among_the_seeds_changes_no_address_that_it_should_not() {
    run_all("addresses", targets::addresses::run);
}

#[cfg(feature = "tower")]
#[test]
fn every_request_among_the_seeds_gets_through_only_with_a_decision_that_allows_it() {
    let mut harness = targets::enforce::Harness::new();
    run_all("enforce", |seed| harness.run(seed));
}

fn run_all(target: &str, mut run: impl FnMut(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut played = 0;
    for entry in fs::read_dir(folder).expect("the seeds") {
        let path = entry.expect("a seed").path();
        println!("{}", path.display());
        run(&fs::read(path).expect("a seed"));
        played += 1;
    }
    assert!(played > 0, "there are no seeds");
}
