//! What a page may load and run, told to the browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha2::{Digest, Sha256};

/// A word that no page had before, by which a browser knows this page's own script.
pub(super) struct Nonce(String);

/// What a page does.
pub(super) enum Policy<'a> {
    /// Nothing.
    Still,
    /// It runs the script with this nonce, which asks this site, and starts workers from its files.
    Script(&'a Nonce),
    /// The same, with scripts and frames of another host in place of workers.
    ScriptAndHost(&'a Nonce, &'static str),
}

impl Nonce {
    /// That of the page with this envelope. Nobody can know it before the page does, as the
    /// envelope is signed with a secret, and no two pages have the same.
    pub(super) fn of(envelope: &str) -> Self {
        let digest = Sha256::digest(envelope);
        Self(STANDARD.encode(&digest[..16]))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Policy<'_> {
    /// The content security policy, of a page with this style in it and its icon.
    pub(super) fn header(&self, style_hash: &str) -> HeaderValue {
        let scripts = match self {
            Self::Still => String::new(),
            Self::Script(Nonce(nonce)) => {
                format!("script-src 'nonce-{nonce}'; worker-src 'self'; connect-src 'self'; ")
            }
            Self::ScriptAndHost(Nonce(nonce), host) => {
                format!("script-src 'nonce-{nonce}' {host}; frame-src {host}; connect-src 'self'; ")
            }
        };
        let policy = format!(
            "{NOTHING}; {scripts}style-src 'sha256-{style_hash}'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(NOTHING))
    }
}

/// The hash of what may stand in a page, as policies spell it. A browser reads the line ends of
/// Windows, which a checkout may have, as line feeds.
pub(super) fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.replace("\r\n", "\n")))
}

const NOTHING: &str = "default-src 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_has_one_hash_whatever_its_line_ends() {
        assert_eq!(hash("p {\r\n  margin: 0;\r\n}\r\n"), hash("p {\n  margin: 0;\n}\n"));
        assert_eq!(hash(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
