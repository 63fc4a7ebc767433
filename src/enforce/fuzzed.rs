//! Ways in for the fuzz targets, to what nobody else reaches. Only a fuzzer and the tests build this.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use reqwest::Url;

use super::path::{PathPattern, PathRules};
use super::request::return_to::ReturnTo;
use super::signed::clearance::Clearances;
use super::signed::envelope::Envelopes;
use super::signed::identity::VisitorIdentity;
use super::{ClearanceKey, ClearanceKeys, ClearanceOptions};

/// A path is exempt only if it is written as the rule is, and a return path stays on its site.
pub fn path(text: &str) {
    let health = PathPattern::below("/health").expect("a path");
    let rules = PathRules::new(true).with(health, false);
    // One that a request line can have, without what else it has behind its path.
    let is_path = text.starts_with('/')
        && PathAndQuery::try_from(text).is_ok_and(|whole| whole.path() == text);
    if is_path && !rules.strictest(text, |one, other| one || other) {
        assert!(text == "/health" || text.starts_with("/health/"), "{text:?} is exempt");
        let site = Url::parse("https://good.example/").expect("a URL");
        let browser = site.join(text).expect("a path");
        assert!(browser.path().starts_with("/health"), "{text:?} is {browser} to browsers");
    }
    if let Some(return_path) = ReturnTo::parse(text) {
        let site = Url::parse("https://good.example/a/b?c").expect("a URL");
        let place = site.join(return_path.as_str()).expect("a reference");
        assert_eq!(place.origin(), site.origin(), "{text:?}");
        assert!(HeaderValue::from_str(return_path.as_str()).is_ok(), "{text:?}");
        assert_eq!(ReturnTo::parse(return_path.as_str()), Some(return_path), "{text:?}");
    }
}

/// What this site did not sign is neither a clearance nor an envelope, and a changed one is none.
pub fn token(input: &[u8]) {
    let visitor = VisitorIdentity {
        site: "shop.example",
        other_name: "",
        user_agent: b"Mozilla/5.0",
        address: "192.0.2.1".parse().ok(),
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    look(&visitor, now, input);
    // The same, in the place of some bytes of what this site did sign.
    let (&[at], change) = input.split_first_chunk().unwrap_or((&[0], &[]));
    let envelope =
        SIGNERS.1.wrap("token", &ReturnTo::default(), &visitor, now).expect("an envelope");
    let mut changed = envelope.clone().into_bytes();
    let at = usize::from(at) * changed.len() / 256;
    for (byte, change) in changed[at..].iter_mut().zip(change) {
        *byte = *change;
    }
    if changed != envelope.as_bytes() {
        look(&visitor, now, &changed);
    }
}

fn look(visitor: &VisitorIdentity<'_>, now: SystemTime, text: &[u8]) {
    let (clearances, envelopes) = &*SIGNERS;
    if let Ok(text) = str::from_utf8(text) {
        assert!(envelopes.open(text, visitor, now).is_err(), "{text:?} is an envelope");
    }
    let cookie = [b"__Host-esper_challenge=", text].concat();
    if let Ok(cookie) = HeaderValue::from_bytes(&cookie) {
        let headers = HeaderMap::from_iter([(http::header::COOKIE, cookie)]);
        assert!(!clearances.holds(&headers, visitor, now), "{text:?} is a clearance");
    }
}

static SIGNERS: LazyLock<(Clearances, Envelopes)> = LazyLock::new(|| {
    let key = ClearanceKey::new("a key that only the fuzzer has 0123456789");
    let (keys, options) = (ClearanceKeys::new(key.expect("a key")), ClearanceOptions::new());
    (Clearances::new(keys.clone(), options), Envelopes::new(keys, options))
});

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn no_path_among_the_seeds_is_exempt_unless_it_is_written_as_the_rule_is() {
        for seed in seeds("paths") {
            if let Ok(text) = str::from_utf8(&seed) {
                super::path(text);
            }
        }
    }

    #[test]
    fn no_token_among_the_seeds_is_taken_for_one_of_this_site() {
        seeds("tokens").iter().for_each(|seed| super::token(seed));
    }

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let entries = fs::read_dir(folder).expect("the seeds");
        let seeds: Vec<_> =
            entries.map(|seed| fs::read(seed.expect("a seed").path()).expect("a seed")).collect();
        assert!(!seeds.is_empty(), "there are no seeds");
        seeds
    }
}
