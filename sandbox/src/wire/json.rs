//! Read a body as JSON, with errors that name the member at fault.

use std::error::Error;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Why the API refuses a body: it is malformed, or a member of it does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequest {
    member: Option<String>,
    message: String,
}

impl InvalidRequest {
    /// A body that is wrong as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { member: None, message: message.into() }
    }

    /// A member of the body that does not fit.
    pub(crate) fn of_member(member: &str, why: &str) -> Self {
        let (member, why) = (excerpt(member), excerpt(why));
        Self { message: format!("{member}: {why}"), member: Some(member) }
    }

    /// The member that does not fit; none if the body is wrong as a whole.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        self.member.as_deref()
    }
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InvalidRequest {}

/// Reads a JSON object.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, InvalidRequest> {
    let text = str::from_utf8(body)
        .map_err(|_| InvalidRequest::whole("the body is not encoded as UTF-8"))?;
    // Serde would also take the members from an array, in their order.
    if !text.trim_start().starts_with('{') {
        return Err(InvalidRequest::whole("the body is not a JSON object"));
    }
    // To keep track of the member costs more than to read again what does not fit.
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let member = error.path().to_string();
        refusal(&member, error.inner())
    })?;
    json.end().map_err(|error| refusal(WHOLE, &error))?;
    Ok(value)
}

fn refusal(member: &str, error: &serde_json::Error) -> InvalidRequest {
    match error.classify() {
        Category::Data if member == WHOLE => {
            InvalidRequest::whole(format!("the body does not fit: {error}"))
        }
        Category::Data => InvalidRequest::of_member(member, &error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => {
            InvalidRequest::whole(format!("the body is not valid JSON: {error}"))
        }
    }
}

/// The beginning of a text that came with the request and may be of any length.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How `serde_path_to_error` names the body itself.
const WHOLE: &str = ".";

const EXCERPT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_of_the_caller_comes_back_short() {
        let error = InvalidRequest::of_member(&"é".repeat(1 << 20), "x");
        assert_eq!(error.to_string(), format!("{}…: x", "é".repeat(EXCERPT)));
    }
}
