//! The documents name the version that they are published with.

use std::fs;
use std::path::Path;

#[test]
fn the_readme_and_the_guides_depend_on_this_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md")];
    for folder in ["src/guide", "src/enforce"] {
        let entries = fs::read_dir(root.join(folder)).expect(folder);
        let paths = entries.map(|entry| entry.expect("an entry").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    let mut named = 0;
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        for line in text.lines().filter(|line| line.starts_with("esper-rs-client = ")) {
            named += 1;
            let version = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");
            let fits = line.split(" = ").any(|part| part.starts_with(version));
            assert!(fits, "{}: {line}", document.display());
        }
    }
    assert!(named > 0, "no document says how to depend on this crate");
}
