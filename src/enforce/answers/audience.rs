//! Who gets an answer: a person with a browser, a program, or a gRPC client.

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;

/// Who gets an answer, by what a request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// A browser that would show the answer as a page.
    Page,
    /// A program, such as the script of a page. It gets problem JSON (RFC 9457).
    Machine,
    /// A gRPC client. It gets trailers.
    Grpc,
}

impl Audience {
    /// Classifies the client by its headers. It decides about the form of an answer alone.
    pub(in crate::enforce) fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        // A status of 200, as gRPC has it, would tell a CONNECT that there is a tunnel.
        if grpc(headers).is_some() && parts.method != Method::CONNECT {
            return Self::Grpc;
        }
        let navigates = match text(headers, "sec-fetch-dest") {
            // Old browsers, and others over plain http, do not say.
            "" => text(headers, "x-requested-with").is_empty(),
            destination => matches!(destination, "document" | "iframe" | "frame"),
        };
        if navigates && wants_html(headers) { Self::Page } else { Self::Machine }
    }
}

/// The content type in which a gRPC client is answered. Clients of gRPC-Web take only their own.
pub(in crate::enforce) fn grpc_type(headers: &HeaderMap) -> HeaderValue {
    let own =
        headers.get(CONTENT_TYPE).filter(|_| grpc(headers).is_some_and(|rest| !rest.is_empty()));
    own.cloned().unwrap_or(HeaderValue::from_static("application/grpc"))
}

/// What a content type of gRPC has after its name: nothing, or what makes it one of gRPC-Web.
fn grpc(headers: &HeaderMap) -> Option<&str> {
    let essence = text(headers, CONTENT_TYPE.as_str()).split([';', '+']).next()?.trim();
    let (name, rest) = essence.split_at_checked("application/grpc".len())?;
    let is_known = rest.is_empty()
        || rest.eq_ignore_ascii_case("-web")
        || rest.eq_ignore_ascii_case("-web-text");
    (name.eq_ignore_ascii_case("application/grpc") && is_known).then_some(rest)
}

/// Whether HTML is asked for by its name. `*/*` is what programs send.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|range| {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let html = parts.next().is_some_and(|kind| {
                kind.eq_ignore_ascii_case(b"text/html")
                    || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
            });
            html && !parts.any(has_zero_weight)
        })
    })
}

/// Whether a parameter of a range is a weight of zero.
fn has_zero_weight(parameter: &[u8]) -> bool {
    let weight = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    weight.is_some_and(|weight| {
        weight.starts_with(b"0") && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    fn audience(headers: &[(&str, &str)]) -> Audience {
        let request = headers
            .iter()
            .fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        Audience::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_browser_that_navigates_gets_a_page() {
        assert_eq!(audience(&[("accept", BROWSER)]), Audience::Page);
        let fetch = ("sec-fetch-dest", "document");
        assert_eq!(audience(&[("accept", BROWSER), fetch]), Audience::Page);
        for accept in ["text/html;q=0.9", "text/html; Q=0.05", "text/html;q=1", "text/html;level=1"]
        {
            assert_eq!(audience(&[("accept", accept)]), Audience::Page, "{accept}");
        }
    }

    #[test]
    fn a_machine_client_never_gets_html() {
        for headers in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("accept", "text/html;q=0")],
            &[("accept", "text/html; Q=0.000, application/json")],
            &[("accept", "text/htmlx")],
            &[("accept", BROWSER), ("sec-fetch-dest", "empty")],
            &[("accept", BROWSER), ("sec-fetch-dest", "image")],
            &[("accept", BROWSER), ("x-requested-with", "XMLHttpRequest")],
        ] {
            assert_eq!(audience(headers), Audience::Machine, "{headers:?}");
        }
        for kind in ["application/grpcfoo", "application/grpc-website", "application/grp", ""] {
            let headers = [("accept", "*/*"), ("content-type", kind)];
            assert_eq!(audience(&headers), Audience::Machine, "{kind}");
        }
    }

    #[test]
    fn a_grpc_client_is_answered_as_one_and_one_of_grpc_web_in_its_own_type() {
        for (kind, answer) in [
            ("application/grpc", "application/grpc"),
            ("application/grpc+proto", "application/grpc"),
            ("Application/gRPC; x=y", "application/grpc"),
            ("application/grpc-web", "application/grpc-web"),
            ("application/grpc-web+proto", "application/grpc-web+proto"),
            ("application/grpc-web-text+proto", "application/grpc-web-text+proto"),
        ] {
            let headers = [("accept", BROWSER), ("content-type", kind)];
            assert_eq!(audience(&headers), Audience::Grpc, "{kind}");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(grpc_type(&headers), answer);
        }
    }
}
