//! Answers that are no success, or that cannot be read, as errors.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::EsperError;
use crate::generated::types::ErrorBody;
use crate::key::ApiKey;
use crate::transport::retry_after;

/// What a call took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallCost {
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
}

/// An answer that is not the documented success. Its status is kept whatever its body is.
pub(crate) async fn unsuccessful(response: Response, cost: CallCost, key: &ApiKey) -> EsperError {
    let status = response.status();
    if status.is_success() {
        return unreadable(status, "its status is not a documented one", cost, key);
    }
    let retry_after = retry_after::of(&response);
    // The body is in memory by now, or what there was of it.
    let body = response.bytes().await.unwrap_or_default();
    let body = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) if !is_redirect(status) => body,
        _ => ErrorBody { code: None, message: undocumented(status, &body, key), details: None },
    };
    let ErrorBody { code, message, details } = body;
    let said = |text: String| printable(&key.redacted(&text));
    let details = details.filter(|details| details.to_string().len() <= LONGEST_DETAILS);
    let details = details.map(|mut details| {
        key.redact_json(&mut details);
        Box::new(details)
    });
    let (code, message) = (code.map(said), said(message));
    let CallCost { attempts, elapsed } = cost;
    EsperError::Api { status, code, message, details, retry_after, attempts, elapsed }
}

/// A success that does not say what it should.
pub(crate) fn unreadable(
    status: StatusCode,
    what: &str,
    cost: CallCost,
    key: &ApiKey,
) -> EsperError {
    let message = printable(&key.redacted(what));
    let CallCost { attempts, elapsed } = cost;
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
fn undocumented(status: StatusCode, body: &[u8], key: &ApiKey) -> String {
    let name = status.canonical_reason().unwrap_or("unknown status");
    if is_redirect(status) {
        return format!("{name}; redirects are not followed, so check the configured URL");
    }
    // The key goes before anything is cut: half a key would no longer be recognised.
    let text = without_key(body, key);
    let words = text.split_whitespace().take(EXCERPT).collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return name.to_owned();
    }
    let excerpt = words.chars().take(EXCERPT).collect::<String>();
    format!("{name}; the answer is not esper's and begins with {excerpt:?}")
}

/// A body without the key, also where JSON spells it otherwise, such as with `\/`.
fn without_key(body: &[u8], key: &ApiKey) -> String {
    if body.contains(&b'\\')
        && let Ok(mut json) = serde_json::from_slice::<Value>(body)
    {
        key.redact_json(&mut json);
        return json.to_string();
    }
    key.redacted(&String::from_utf8_lossy(body)).into_owned()
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// One line of bounded length that does nothing to a terminal or a log.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

/// Line separators, the marks that turn the direction of text, and characters without a width.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

const LONGEST: usize = 500;
/// The longest `details` that an error keeps, in bytes of JSON.
const LONGEST_DETAILS: usize = 16 * 1024;
const EXCERPT: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::types::MitigationResponse;

    #[test]
    fn a_message_is_one_bounded_line() {
        let line = printable(&format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(10_000)));
        assert!(line.starts_with("a\\u{a}b\\u{1b}[31m\\u{202e}x"), "{line}");
        let marks = printable("\u{61c}\u{2063}\u{feff}");
        assert_eq!(marks, "\\u{61c}\\u{2063}\\u{feff}");
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
        let key = ApiKey::new("sk_test_0123456789".to_owned());
        let undocumented = |status, body: &str| undocumented(status, body.as_bytes(), &key);
        let page = format!("<html>\n<body>{}", "bad gateway ".repeat(1000));
        let text = undocumented(StatusCode::BAD_GATEWAY, &page);
        assert!(text.starts_with("Bad Gateway; "), "{text}");
        assert!(text.len() < 200, "{text}");
        assert_eq!(undocumented(StatusCode::BAD_GATEWAY, " \n"), "Bad Gateway");
        assert!(undocumented(StatusCode::FOUND, "").contains("not followed"));
        assert_eq!(undocumented(StatusCode::NOT_MODIFIED, ""), "Not Modified");
    }

    #[test]
    fn a_key_is_taken_out_however_json_spells_it() {
        let key = ApiKey::new("sk/test/0123456789".to_owned());
        for spelled in ["sk/test/0123456789", r"sk\/test\/0123456789", r"\u0073k/test/0123456789"] {
            let body = format!(r#"{{"error": "no such key: {spelled}"}}"#);
            let text = undocumented(StatusCode::FORBIDDEN, body.as_bytes(), &key);
            assert!(text.contains("no such key: [redacted]"), "{text}");
            assert!(!text.contains("0123"), "{text}");
        }
    }

    #[test]
    fn no_part_of_a_key_is_left_where_a_text_is_cut_or_escaped() {
        for secret in ["sk_test_0123456789", r#"sk"test\0123456789"#, "sk_t"] {
            let key = ApiKey::new(secret.to_owned());
            for before in 0..600 {
                let text = format!("{}{secret}", "x".repeat(before));
                let page = undocumented(StatusCode::FORBIDDEN, text.as_bytes(), &key);
                let cost = CallCost { attempts: 1, elapsed: Duration::ZERO };
                let action = unreadable(StatusCode::OK, &text, cost, &key).to_string();
                assert!(!page.contains("sk") && !action.contains("sk"), "{page} {action}");
            }
        }
    }
}
