//! The API key, which nothing prints.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::EsperError;

/// A key. Its memory is wiped when it is dropped, and so is that of the headers made of it, which
/// are marked as sensitive.
///
/// What is made of it to be sent is not wiped: the buffers of hyper, HTTP/2's table of headers, the
/// records of TLS. Nor is what the caller has the key from, such as the environment.
#[derive(Clone)]
pub(crate) struct ApiKey(SecretString);

impl ApiKey {
    pub(crate) fn new(mut key: String) -> Self {
        // A copy that fits: text with room to spare would be moved, and left behind where it was.
        let copy = SecretString::from(key.as_str());
        key.zeroize();
        Self(copy)
    }

    /// Refuses a key that cannot work, without showing it.
    pub(crate) fn check(&self) -> Result<(), EsperError> {
        let key = self.0.expose_secret();
        let what = if key.is_empty() {
            "esper api key is empty; set ESPER_API_KEY or pass one to EsperConfig::new"
        } else if key.trim() != key {
            "esper api key has white space around it; remove it, and the line break of a file"
        } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            "esper api key has characters other than visible ASCII; check what was copied"
        } else {
            return Ok(());
        };
        Err(EsperError::validation("api_key", what))
    }

    /// The value of the header that carries the key, marked so that no log shows it.
    ///
    /// Its clones share one memory, which the last of them wipes.
    pub(crate) fn header(&self, prefix: &str) -> Result<HeaderValue, EsperError> {
        self.check()?;
        let text = Bytes::from_owner(Wiped::new(prefix, self.0.expose_secret()));
        let mut value = HeaderValue::from_maybe_shared(text)
            .map_err(|_| EsperError::validation("api_key", "esper api key fits no header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Takes the key out of every string in a JSON value.
    pub(crate) fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redacted(text).into_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(members) => {
                if members.keys().any(|name| matches!(self.redacted(name), Cow::Owned(_))) {
                    let renamed = std::mem::take(members).into_iter();
                    members.extend(renamed.map(|(k, v)| (self.redacted(&k).into_owned(), v)));
                }
                members.values_mut().for_each(|member| self.redact_json(member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text that somebody else wrote, without the key.
    ///
    /// A key of less than 4 characters stays: it is none, and would garble ordinary words.
    pub(crate) fn redacted<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let key = self.0.expose_secret();
        if key.len() >= SHORTEST && text.contains(key) {
            Cow::Owned(text.replace(key, "[redacted]"))
        } else {
            Cow::Borrowed(text)
        }
    }
}

/// The text of a header, which is wiped when it is dropped.
struct Wiped(SecretString);

impl Wiped {
    fn new(prefix: &str, key: &str) -> Self {
        // Text that grows moves, and leaves what it was behind.
        let mut text = String::with_capacity(prefix.len() + key.len());
        text.push_str(prefix);
        text.push_str(key);
        Self(text.into())
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

const SHORTEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk_test_0123456789";

    #[test]
    fn a_key_that_cannot_work_is_refused_without_an_echo() {
        for key in
            ["", "  ", "sk_secret\n", "sk_sec\nret", "sk_sécret", "sk_sec\u{7f}ret", "sk_sec ret"]
        {
            let error = ApiKey::new(key.to_owned()).header("Bearer ").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("ret"), "{error:?}");
        }
    }

    #[test]
    fn neither_the_key_nor_its_header_can_be_printed() {
        let key = ApiKey::new(KEY.to_owned());
        let header = key.header("Bearer ").unwrap();
        assert_eq!(header, format!("Bearer {KEY}"));
        assert!(!format!("{key:?} {header:?}").contains("0123"), "{key:?} {header:?}");
    }

    #[test]
    fn the_clones_of_a_header_share_the_memory_that_is_wiped() {
        let header = ApiKey::new(KEY.to_owned()).header("Bearer ").unwrap();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", header.clone());
        let sent = &headers.clone()["authorization"];
        assert_eq!(sent.as_bytes().as_ptr(), header.as_bytes().as_ptr());
        assert!(sent.is_sensitive());
    }

    #[test]
    fn a_key_in_somebody_elses_text_is_taken_out() {
        let mut json = serde_json::json!({ "a": [format!("x{KEY}y")], format!("k {KEY}"): 1 });
        ApiKey::new(KEY.to_owned()).redact_json(&mut json);
        assert_eq!(json, serde_json::json!({ "a": ["x[redacted]y"], "k [redacted]": 1 }));
    }
}
