//! The page on which a browser solves a managed challenge, and what belongs to it.

use axum::http::StatusCode;
use axum::response::Response;
use url::{Position, Url};

use super::{Closed, PageTask};
use crate::http::html::{asset_of, fill, html, shared};

/// The page that solves a task and goes on to where its visitor wants to go.
pub(crate) fn challenge_page(task: &PageTask) -> Response {
    let page = fill(
        include_str!("challenge.html"),
        &[
            ("host", host(&task.return_url)),
            ("salt", &task.salt),
            ("difficulty", &task.difficulty.to_string()),
        ],
    );
    html(StatusCode::OK, page)
}

/// The page that tells why there is nothing to solve, and the way back if it is known.
pub(crate) fn closed_page(closed: &Closed) -> Response {
    let (status, page, return_url) = match closed {
        Closed::Unknown => {
            return html(StatusCode::NOT_FOUND, include_str!("unknown.html").to_owned());
        }
        Closed::Expired(url) => (StatusCode::GONE, include_str!("expired.html"), url),
        Closed::Solved(url) => (StatusCode::GONE, include_str!("solved.html"), url),
    };
    html(status, fill(page, &[("host", host(return_url)), ("return_url", return_url.as_str())]))
}

/// A file that the pages load.
pub(crate) fn asset(name: &str) -> Option<Response> {
    let (kind, text) = match name {
        "challenge.css" => {
            ("text/css; charset=utf-8", concat!(shared!("colours.css"), shared!("page.css")))
        }
        "challenge.js" => ("text/javascript; charset=utf-8", include_str!("challenge.js")),
        "proof-of-work.js" => ("text/javascript; charset=utf-8", shared!("proof-of-work.js")),
        "icon.svg" => ("image/svg+xml", shared!("icon.svg")),
        _ => return None,
    };
    Some(asset_of(kind, text))
}

/// The host as a visitor knows it, with the port if it is not the usual one.
fn host(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::html::places;

    #[test]
    fn every_place_of_every_page_is_filled() {
        assert_eq!(places(include_str!("challenge.html")), ["difficulty", "host", "salt"]);
        for page in [include_str!("expired.html"), include_str!("solved.html")] {
            assert_eq!(places(page), ["host", "return_url"]);
        }
        assert_eq!(places(include_str!("unknown.html")), [""; 0]);
    }

    #[test]
    fn a_host_is_told_with_an_unusual_port() {
        for (url, expected) in [
            ("http://shop.localhost:3000/cart?a=b#c", "shop.localhost:3000"),
            ("https://shop.example:443", "shop.example"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(host(&Url::parse(url).expect("a URL")), expected);
        }
    }
}
