//! Turns `openapi/esper.yaml` into the low-level bindings and the tables beside them.
//!
//! A mistake in the document stops the build with a sentence that names the place in it.

#[path = "build/bindings.rs"]
mod bindings;
#[path = "build/document.rs"]
mod document;
#[path = "build/generated.rs"]
mod generated;
#[path = "build/limits.rs"]
mod limits;
#[path = "build/operations.rs"]
mod operations;
#[path = "build/options.rs"]
mod options;
#[path = "build/parameters.rs"]
mod parameters;
#[path = "build/requests.rs"]
mod requests;
#[path = "build/schemas.rs"]
mod schemas;
#[path = "build/spec.rs"]
mod spec;
#[path = "build/yaml.rs"]
mod yaml;

use std::fs;
use std::process::ExitCode;

use generated::write;
use spec::{Spec, SpecError};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), SpecError> {
    let text = fs::read_to_string(DOCUMENT)
        .map_err(|error| SpecError::new(DOCUMENT, format!("cannot be read: {error}")))?;
    let spec = Spec::parse(DOCUMENT, &text)?;

    let operations = operations::table(&spec)?;
    let options = options::defaults(&spec)?;
    let bindings = bindings::generate(&spec)?;
    let requests = requests::methods(&spec, &bindings)?;

    write("operations.rs", &operations)?;
    write("options.rs", &options)?;
    write("bindings.rs", &bindings)?;
    write("requests.rs", &requests)
}

const DOCUMENT: &str = "openapi/esper.yaml";
