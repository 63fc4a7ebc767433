//! The figures of the guide to scale are those that were measured last.

use std::fs;
use std::path::Path;

#[test]
fn the_guide_to_scale_counts_with_the_figures_of_the_last_comparison() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file| fs::read_to_string(root.join(file)).expect(file);
    let (results, guide) = (read("benches/RESULTS.md"), read("src/guide/scale.md"));
    // The first table has the time of a decision, and of its CPU, in the second and the fourth column.
    let times = |client: &str| {
        let row = results.lines().find(|line| line.starts_with(&format!("| {client} |")));
        let cells: Vec<_> = row.expect(client).split(" | ").collect();
        (cells[1], cells[3])
    };
    for (client, name) in [
        ("bare reqwest, serde", "reqwest with serde"),
        ("`AsyncEsperClient`", "`check_mitigation`"),
        ("`Guard`", "`Guard::decide`"),
    ] {
        let (wall, cpu) = times(client);
        let row = format!("| {name} | {wall} µs | {cpu} µs |");
        assert!(guide.contains(&row), "{row}");
    }
    for client in ["`AsyncEsperClient`", "`EnforceLayer`, an event each"] {
        let (_, cpu) = times(client);
        let million = format!("1,000,000 · {cpu} µs");
        assert!(guide.contains(&million), "{million}");
    }
}
