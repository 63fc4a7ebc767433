//! The tables of faults, of the enforcement layer's promises and of guarantees name tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_test_that_a_fault_names_is_there_and_no_fault_is_without_one() {
    check(include_str!("../../FAULTS.md"), 36);
}

#[test]
fn every_test_that_a_promise_names_is_there_and_no_promise_is_without_one() {
    check(include_str!("../../src/enforce/promises.md"), 37);
}

#[test]
fn every_test_that_a_guarantee_names_is_there_and_no_guarantee_is_without_one() {
    check(include_str!("../../src/guide/guarantees.md"), 14);
}

/// Looks for every test in the rows of a table, which are numbered from 1.
fn check(table: &str, rows: u32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut numbers = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let Some(number) = row.split('|').nth(1).and_then(|cell| cell.trim().parse::<u32>().ok())
        else {
            continue;
        };
        numbers.insert(number);
        let tests: Vec<_> = row.split('`').filter(|text| text.contains("::")).collect();
        assert!(!tests.is_empty() || row.contains("| by construction: "), "{row}");
        for test in tests {
            let (module, name) = test.rsplit_once("::").expect("a path");
            let file = format!("{}.rs", module.replace("::", "/"));
            let places = [root.join("tests/it").join(&file), root.join("src").join(&file)];
            let text = places.iter().find_map(|place| fs::read_to_string(place).ok());
            let text = text.unwrap_or_else(|| panic!("{file} of {test}"));
            assert!(text.contains(&format!("fn {name}(")), "{test}");
        }
    }
    assert_eq!(numbers, (1..=rows).collect());
}
