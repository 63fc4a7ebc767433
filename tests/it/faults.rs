//! The table in FAULTS.md names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_table_names_is_there_and_no_row_is_without_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = include_str!("../../FAULTS.md");
    let mut numbers = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let Some(number) = row.split('|').nth(1).and_then(|cell| cell.trim().parse::<u32>().ok())
        else {
            continue;
        };
        numbers.insert(number);
        let tests: Vec<_> = row.split('`').filter(|text| text.contains("::")).collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            let (module, name) = test.rsplit_once("::").expect("a path");
            let file = format!("{}.rs", module.replace("::", "/"));
            let places = [root.join("tests/it").join(&file), root.join("src").join(&file)];
            let text = places.iter().find_map(|place| fs::read_to_string(place).ok());
            let text = text.unwrap_or_else(|| panic!("{file} of {test}"));
            assert!(text.contains(&format!("fn {name}(")), "{test}");
        }
    }
    assert_eq!(numbers, (1..=36).collect());
}
