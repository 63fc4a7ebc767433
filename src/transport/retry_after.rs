//! When the server wants to be asked again.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that an answer asks for, if it does so in a way that can be understood.
pub(crate) fn of(response: &Response) -> Option<Duration> {
    parse(response.headers(), SystemTime::now())
}

/// Reads seconds or a date; the longest of several wins.
///
/// A date is measured against the answer's own `Date`, so that the clocks of both sides may
/// differ. A date in the past asks for nothing.
fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let sent = headers.get(DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(now);
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(|value| {
        let text = value.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a number has are as good as for ever.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        date(text)?.duration_since(sent).ok().filter(|wait| !wait.is_zero())
    });
    values.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 12:00:07 GMT";

    fn wait(date: Option<&'static str>, values: &[&'static str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_static(value));
        }
        parse(&headers, httpdate::parse_http_date(NOON).unwrap())
    }

    #[test]
    fn seconds_are_seconds() {
        assert_eq!(wait(None, &["3"]), Some(Duration::from_secs(3)));
        assert_eq!(wait(None, &["0"]), Some(Duration::ZERO));
        assert_eq!(wait(None, &["999999999"]), Some(Duration::from_secs(999_999_999)));
        let digits = "99999999999999999999999999";
        assert_eq!(wait(None, &[digits]), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn a_date_is_measured_against_the_answers_own() {
        assert_eq!(wait(Some(NOON), &[LATER]), Some(Duration::from_secs(7)));
        assert_eq!(wait(None, &[LATER]), Some(Duration::from_secs(7)));
        let an_hour_ahead = "Sun, 06 Nov 1994 13:00:00 GMT";
        assert_eq!(
            wait(Some(an_hour_ahead), &["Sun, 06 Nov 1994 13:00:02 GMT"]),
            Some(Duration::from_secs(2))
        );
        assert_eq!(wait(Some(LATER), &[NOON]), None);
    }

    #[test]
    fn garbage_asks_for_nothing() {
        for garbage in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(wait(Some(NOON), &[garbage]), None, "{garbage}");
        }
        assert_eq!(wait(None, &[]), None);
    }

    #[test]
    fn the_longest_of_several_wins() {
        assert_eq!(wait(None, &["1", "5", "x"]), Some(Duration::from_secs(5)));
    }
}
