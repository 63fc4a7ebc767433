//! The seeds of the fuzz target, played once each: what a fuzzer finds wrong stays right.

use std::fs;
use std::path::Path;

#[expect(unreachable_pub, reason = "the fuzz target reaches it")]
#[path = "../../../fuzz/src/policies.rs"]
mod target;

#[test]
fn every_seed_is_read_or_refused_with_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/policies");
    let mut played = 0;
    for entry in fs::read_dir(folder).expect("the seeds") {
        let path = entry.expect("a seed").path();
        println!("{}", path.display());
        target::run(&fs::read(path).expect("a seed"));
        played += 1;
    }
    assert!(played > 0, "there are no seeds");
}
