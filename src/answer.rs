//! Answers that are no success, or that cannot be read, as errors.

use std::time::Duration;

use reqwest::{Response, StatusCode};

use crate::EsperError;
use crate::generated::types::ErrorBody;
use crate::key::ApiKey;
use crate::transport::retry_after;

/// What a call took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
}

/// An answer with a status that is no success. Its status is kept whatever its body is.
pub(crate) async fn refused(response: Response, effort: Effort, key: &ApiKey) -> EsperError {
    let status = response.status();
    let retry_after = retry_after::of(&response);
    // The body is in memory by now; one that broke is as good as none.
    let body = response.bytes().await.unwrap_or_default();
    let (mut code, mut message, mut details) = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { code, message, details }) => (code, message, details),
        Err(_) => (None, undocumented(status, &body), None),
    };
    key.redact(&mut message);
    code.iter_mut().for_each(|code| key.redact(code));
    details.iter_mut().for_each(|details| key.redact_json(details));
    let message = printable(&message);
    let details = details.map(Box::new);
    let Effort { attempts, elapsed } = effort;
    EsperError::Api { status, code, message, details, retry_after, attempts, elapsed }
}

/// A success that does not say what it should.
pub(crate) fn unreadable(
    status: StatusCode,
    what: &str,
    effort: Effort,
    key: &ApiKey,
) -> EsperError {
    let mut message = printable(what);
    key.redact(&mut message);
    let Effort { attempts, elapsed } = effort;
    EsperError::Decode { status, message, attempts, elapsed }
}

/// What is wrong with a body, without quoting it; only an unknown variant is named.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_data() && text.starts_with("unknown variant") {
        return text;
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or has another type",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

/// What to say of an answer that is not the documented JSON: a proxy's page, a redirect.
fn undocumented(status: StatusCode, body: &[u8]) -> String {
    let name = status.canonical_reason().unwrap_or("unknown status");
    if status.is_redirection() {
        return format!("{name}; redirects are not followed, so check the configured URL");
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.as_str() {
        "" => name.to_owned(),
        words => {
            let excerpt = words.chars().take(EXCERPT).collect::<String>();
            format!("{name}; the answer is not esper's and begins with {excerpt:?}")
        }
    }
}

/// One line of bounded length that does nothing to a terminal or a log.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        match character.is_control() || is_invisible(character) {
            true => line.extend(character.escape_unicode()),
            false => line.push(character),
        }
    }
    line
}

/// Line separators and the marks that turn the direction of text.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const LONGEST: usize = 500;
const EXCERPT: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::types::MitigationResponse;

    #[test]
    fn a_message_is_one_bounded_line() {
        let line = printable(&format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(10_000)));
        assert!(line.starts_with("a\\u{a}b\\u{1b}[31m\\u{202e}x"), "{line}");
        assert!(line.len() < LONGEST + 20, "{}", line.len());
    }

    #[test]
    fn an_unknown_action_is_named_and_nothing_else_is_quoted() {
        let describe_body =
            |body: &str| describe(&serde_json::from_str::<MitigationResponse>(body).unwrap_err());
        assert!(describe_body(r#"{"action":"rate_limit"}"#).contains("`rate_limit`"));
        for body in [r#"{"action":"allow","score":"secret"}"#, r#""secret"#, "", "null", "secret"] {
            assert!(!describe_body(body).contains("secret"), "{}", describe_body(body));
        }
    }

    #[test]
    fn a_page_that_is_not_ours_gives_its_status_and_a_short_excerpt() {
        let page = format!("<html>\n<body>{}", "bad gateway ".repeat(1000));
        let text = undocumented(StatusCode::BAD_GATEWAY, page.as_bytes());
        assert!(text.starts_with("Bad Gateway; "), "{text}");
        assert!(text.len() < 200, "{text}");
        assert_eq!(undocumented(StatusCode::BAD_GATEWAY, b" \n"), "Bad Gateway");
        assert!(undocumented(StatusCode::FOUND, b"").contains("not followed"));
    }
}
