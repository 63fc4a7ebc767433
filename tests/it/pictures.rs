//! The pictures of the README are in the crate's documentation too, where no file stands beside it.
//!
//! There a definition of the same name, which comes first, holds the whole picture. After a change
//! of one, `UPDATE_PICTURES=1 cargo test --test it pictures` writes them anew.

use std::fmt::Write;
use std::{env, fs};

#[test]
fn the_documentation_has_every_picture_of_the_readme() {
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = include_str!("../../README.md");
    let mut definitions = String::new();
    for line in readme.lines().filter(|line| line.starts_with('[')) {
        let Some((name, path)) = line.split_once("]: ").filter(|(_, path)| path.ends_with(".svg"))
        else {
            continue;
        };
        let picture = fs::read_to_string(format!("{root}/{path}")).expect(path);
        let picture = escaped(&picture);
        writeln!(definitions, "{name}]: data:image/svg+xml,{picture}").expect("a string grows");
    }
    assert!(!definitions.is_empty(), "the README has no picture");
    let path = format!("{root}/src/guide/pictures.md");
    if env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(&path, &definitions).expect(&path);
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == definitions, "{path} is out of date; see tests/it/pictures.rs");
}

/// What a URL may hold of a text.
fn escaped(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'=' | b':' | b'/' => {
                url.push(byte as char);
            }
            _ => write!(url, "%{byte:02X}").expect("a string grows"),
        }
    }
    url
}
