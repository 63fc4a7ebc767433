//! How a layer knows the session that a request belongs to.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::cookies;
use crate::EsperError;

/// Where the id of a request's session comes from.
#[derive(Clone)]
pub(in crate::enforce) enum Session {
    /// From a cookie. It opens a session, so that Esper gets a digest of it.
    Cookie(String),
    /// From the application.
    Function(SessionFn),
}

pub(in crate::enforce) type SessionFn = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

impl Session {
    /// # Errors
    ///
    /// Fails with a name that no cookie has.
    pub(in crate::enforce) fn cookie(name: String) -> Result<Self, EsperError> {
        // Both are tokens of HTTP.
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            let message = format!("{name:?} is not the name of a cookie; it looks like session");
            return Err(EsperError::validation("session_cookie", message));
        }
        Ok(Self::Cookie(name))
    }

    pub(in crate::enforce) fn of(&self, parts: &Parts) -> Option<String> {
        match self {
            Self::Cookie(name) => {
                let mut values = cookies::named(&parts.headers, name);
                values.find(|value| !value.is_empty()).map(digest)
            }
            Self::Function(session) => session(parts).filter(|session| !session.is_empty()),
        }
    }
}

/// A digest that is equal for equal values, and shows none that nobody can guess.
fn digest(value: &[u8]) -> String {
    let digest = Sha256::digest(value);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => f.debug_tuple("Cookie").field(name).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http::header::COOKIE;

    fn session(lines: &[&str]) -> Option<String> {
        let request =
            lines.iter().fold(Request::get("/"), |request, line| request.header(COOKIE, *line));
        Session::Cookie("sid".to_owned()).of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_value_of_a_cookie_stays_here_and_a_digest_of_it_is_told() {
        let told = session(&["sid=opens-sesame"]).unwrap();
        assert!(!told.contains("opens") && !told.contains("sesame"), "{told}");
        assert!(told.len() == 32 && told.bytes().all(|byte| byte.is_ascii_hexdigit()), "{told}");
        assert_eq!(session(&["sid=opens-sesame"]), Some(told.clone()), "equal for equal ones");
        assert_ne!(session(&["sid=opens-sesam"]), Some(told));
    }

    #[test]
    fn an_empty_cookie_is_none() {
        assert_eq!(session(&["sid=; sid=1"]), session(&["sid=1"]));
        for lines in [&[][..], &["sid"], &["sid="], &["sid=\"\""], &["xsid=1"]] {
            assert_eq!(session(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_cookie_is_refused_with_the_next_step() {
        assert!(Session::cookie("__Host-Sid".to_owned()).is_ok());
        for name in ["", "a=b", "a b", "a;b", "\u{e9}"] {
            let error = Session::cookie(name.to_owned()).unwrap_err().to_string();
            assert!(error.contains("it looks like session"), "{error}");
        }
    }

    #[test]
    fn the_id_of_the_application_is_told_as_it_is_and_an_empty_one_is_none() {
        let parts = Request::get("/").header("x-session", "id").body(()).unwrap().into_parts().0;
        let session = |name: &'static str| {
            let header = move |parts: &Parts| {
                Some(parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned())
            };
            Session::Function(Arc::new(header)).of(&parts)
        };
        assert_eq!(session("x-session").as_deref(), Some("id"));
        assert_eq!(session("x-other"), None);
    }
}
