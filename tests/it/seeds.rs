//! The seeds of the fuzz targets, played once each: what a fuzzer finds wrong stays right.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn every_answer_among_the_seeds_has_the_outcome_that_it_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/answer");
    let mut stage = targets::answer::Stage::new();
    let mut played = 0;
    for entry in fs::read_dir(folder).expect("the seeds") {
        let path = entry.expect("a seed").path();
        println!("{}", path.display());
        stage.play(&fs::read(path).expect("a seed"));
        played += 1;
    }
    assert!(played > 0, "there are no seeds");
}
