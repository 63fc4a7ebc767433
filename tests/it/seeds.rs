//! The seeds of the fuzz targets, played once each: what a fuzzer finds wrong stays right.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_answer_among_the_seeds_has_the_outcome_that_it_should() {
    let mut stage = targets::answer::Stage::new();
    play_all("answer", |seed| stage.play(seed));
}

#[test]
fn every_body_among_the_seeds_is_taken_or_refused_in_good_order() {
    let mut stage = targets::sandbox_bodies::Stage::new();
    play_all("sandbox_bodies", |seed| stage.play(seed));
}

#[test]
fn every_policy_file_among_the_seeds_is_read_or_refused_with_its_place() {
    play_all("policies", targets::policies::play);
}

#[cfg(feature = "tower")]
#[test]
fn every_header_among_the_seeds_changes_no_address_that_it_should_not() {
    play_all("addresses", targets::addresses::play);
}

#[cfg(feature = "tower")]
#[test]
fn every_request_among_the_seeds_gets_through_only_with_a_decision_that_allows_it() {
    let mut stage = targets::enforce::Stage::new();
    play_all("enforce", |seed| stage.play(seed));
}

fn play_all(target: &str, mut play: impl FnMut(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut played = 0;
    for entry in fs::read_dir(folder).expect("the seeds") {
        let path = entry.expect("a seed").path();
        println!("{}", path.display());
        play(&fs::read(path).expect("a seed"));
        played += 1;
    }
    assert!(played > 0, "there are no seeds");
}
