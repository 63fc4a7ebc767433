//! How a layer knows the session that a request belongs to.

use std::fmt;
use std::sync::Arc;

use http::header::COOKIE;
use http::request::Parts;

use super::question::digest;

/// Where the id of a request's session comes from.
#[derive(Clone)]
pub(super) enum Session {
    /// From a cookie. It opens a session, so that Esper gets a digest of it.
    Cookie(String),
    /// From the application.
    Function(SessionFn),
}

pub(super) type SessionFn = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

impl Session {
    pub(super) fn of(&self, parts: &Parts) -> Option<String> {
        match self {
            Self::Cookie(name) => cookie(parts, name).map(digest),
            Self::Function(session) => session(parts).filter(|session| !session.is_empty()),
        }
    }
}

/// The value of the first cookie of a name.
fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a [u8]> {
    let lines = parts.headers.get_all(COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value).filter(|value| !value.is_empty())
    })
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
    fn the_cookie_is_found_by_its_whole_name_on_any_line() {
        let expected = session(&["sid=1"]);
        for lines in [
            &["a=b; sid=1"][..],
            &["sid=1;sid=2"],
            &["a=b", "c; sid=1; d"],
            &["sid=; sid=1"],
            &["xsid=2; sid2=3;  sid=1  "],
            &["SID=2; sid=1"],
        ] {
            assert_eq!(session(lines), expected, "{lines:?}");
        }
        for lines in [&[][..], &["sid"], &["sid="], &["sid =1"], &["a=sid=1"], &["xsid=1"]] {
            assert_eq!(session(lines), None, "{lines:?}");
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
