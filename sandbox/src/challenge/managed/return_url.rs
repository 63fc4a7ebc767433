//! Send a visitor back only where the sandbox was told that visitors come from.

use std::io;

use url::{Host, Url, form_urlencoded};

use crate::http::host::is_loopback;

/// The hosts that a visitor may be sent back to: this machine, and those that were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReturnHosts {
    added: Vec<Host>,
}

/// Why a visitor is not sent back to a URL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum NotAllowed {
    Host,
    Credentials,
    Length,
}

impl ReturnHosts {
    pub(crate) fn new(added: &[String]) -> io::Result<Self> {
        Ok(Self { added: added.iter().map(|host| read(host)).collect::<io::Result<_>>()? })
    }

    pub(crate) fn check(&self, url: &Url) -> Result<(), NotAllowed> {
        if url.as_str().len() > LONGEST {
            return Err(NotAllowed::Length);
        }
        // `https://shop.example@elsewhere` reads as if it led to the shop.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAllowed::Credentials);
        }
        let web = matches!(url.scheme(), "http" | "https");
        let host = url.host().map(|host| host.to_owned());
        let known = host.is_some_and(|host| is_loopback(&host) || self.added.contains(&host));
        if web && known { Ok(()) } else { Err(NotAllowed::Host) }
    }
}

impl NotAllowed {
    /// What is wrong and what to do, for the developer who asked.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Host => {
                "no redirect_url: the host of return_url is not allowed; \
                 allow it with --return-host or SandboxBuilder::return_host"
            }
            Self::Credentials => {
                "no redirect_url: return_url has a user name or a password; leave them out"
            }
            Self::Length => "no redirect_url: return_url has more than 4096 bytes; shorten it",
        }
    }
}

/// Adds a proof to a URL, in place of one that is there already. The rest stays as it is.
pub(super) fn with_proof(mut url: Url, proof: &str) -> Url {
    let query = url.query().unwrap_or_default();
    let mut kept: Vec<&str> = query.split('&').filter(|pair| !is_proof(pair)).collect();
    if kept == [""] {
        kept.clear();
    }
    let proof = format!("{PARAMETER}={proof}");
    kept.push(&proof);
    let query = kept.join("&");
    url.set_query(Some(&query));
    url
}

/// Whether a pair of a query is a proof, however its name is written.
fn is_proof(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == PARAMETER)
}

/// Reads a host as a browser would, so that it can be compared with that of a URL.
fn read(host: &str) -> io::Result<Host> {
    let refusal = || {
        let why = format!(
            "{host:?} is no host to return to; give a name or an address alone, \
             such as shop.example"
        );
        io::Error::new(io::ErrorKind::InvalidInput, why)
    };
    if host.contains('*') {
        return Err(refusal());
    }
    Host::parse(host).map_err(|_| refusal())
}

/// The most bytes of a URL that is carried in a token.
pub(super) const LONGEST: usize = 4096;

const PARAMETER: &str = "esper_challenge_proof";

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn hosts(added: &[&str]) -> ReturnHosts {
        let added: Vec<_> = added.iter().map(|host| (*host).to_owned()).collect();
        ReturnHosts::new(&added).expect("hosts")
    }

    #[test]
    fn this_machine_is_allowed_by_every_name_and_on_every_port() {
        for good in [
            "http://localhost",
            "https://localhost:8443/x",
            "http://shop.localhost:3000/cart?x=1#top",
            "http://LOCALHOST/",
            "http://127.0.0.1:80/",
            "http://127.255.0.9/",
            "http://127.1/",
            "http://2130706433/",
            "http://[::1]:8080/",
        ] {
            assert_eq!(hosts(&[]).check(&url(good)), Ok(()), "{good}");
        }
    }

    #[test]
    fn no_other_host_is_allowed_however_it_is_dressed_up() {
        for bad in [
            "https://shop.example/",
            "http://localhost.shop.example/",
            "http://notlocalhost/",
            "http://evil-localhost/",
            "http://localhost%2eshop.example/",
            "http://localhost./",
            "http://127.0.0.1.shop.example/",
            "http://128.0.0.1/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "http://[::]/",
            "http://[::ffff:10.0.0.1]/",
            "http:shop.example",
            "http:/shop.example",
            "http:///shop.example/",
            "http://shop.example\\@localhost/",
            "http://shop.example#@localhost/",
            "http://shop.example?@localhost/",
            "http://shop\u{3002}example/",
            "http://ⓢhop.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://localhost/",
            "file:///etc/passwd",
        ] {
            assert_eq!(hosts(&[]).check(&url(bad)), Err(NotAllowed::Host), "{bad}");
        }
    }

    #[test]
    fn a_url_with_credentials_is_not_allowed() {
        for bad in ["http://shop.example@localhost/", "http://:x@localhost/", "http://a:b@[::1]/"] {
            assert_eq!(hosts(&[]).check(&url(bad)), Err(NotAllowed::Credentials), "{bad}");
        }
    }

    #[test]
    fn a_url_is_allowed_up_to_its_longest() {
        let start = "http://localhost/";
        let longest = format!("{start}{}", "x".repeat(LONGEST - start.len()));
        assert_eq!(hosts(&[]).check(&url(&longest)), Ok(()));
        assert_eq!(hosts(&[]).check(&url(&format!("{longest}x"))), Err(NotAllowed::Length));
        assert!(NotAllowed::Length.advice().contains(&LONGEST.to_string()));
    }

    #[test]
    fn an_added_host_is_that_host_alone() {
        let hosts = hosts(&["Shop.Example", "bücher.example", "10.0.0.7", "[2001:db8::1]"]);
        for good in [
            "https://shop.example/",
            "https://SHOP.example:8443/",
            "https://bücher.example/",
            "https://xn--bcher-kva.example/",
            "http://10.0.0.7/",
            "http://[2001:0db8::0001]/",
            "http://localhost/",
        ] {
            assert_eq!(hosts.check(&url(good)), Ok(()), "{good}");
        }
        for bad in
            ["https://www.shop.example/", "https://shop.example.net/", "https://ashop.example/"]
        {
            assert_eq!(hosts.check(&url(bad)), Err(NotAllowed::Host), "{bad}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_at_the_start() {
        for bad in [
            "",
            " ",
            "*",
            "*.shop.example",
            "shop.example:443",
            "https://shop.example",
            "shop.example/",
            "a@b",
            "::1",
            "a b",
        ] {
            let error = ReturnHosts::new(&[bad.to_owned()]).expect_err(bad);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn a_proof_is_added_and_the_rest_stays() {
        for (before, after) in [
            ("http://localhost", "http://localhost/?esper_challenge_proof=p"),
            ("http://localhost/?", "http://localhost/?esper_challenge_proof=p"),
            ("http://localhost/a?x=1#top", "http://localhost/a?x=1&esper_challenge_proof=p#top"),
            (
                "http://localhost/?q=a%20b+c&&e=&f&q=%26%3d",
                "http://localhost/?q=a%20b+c&&e=&f&q=%26%3d&esper_challenge_proof=p",
            ),
        ] {
            assert_eq!(with_proof(url(before), "p").as_str(), after, "{before}");
        }
    }

    #[test]
    fn a_proof_that_is_there_is_replaced() {
        for before in [
            "http://localhost/?esper_challenge_proof=old&x=1",
            "http://localhost/?x=1&esper_challenge_proof",
            "http://localhost/?esper_challenge_proof=1&x=1&esper_challenge_proof=2",
            "http://localhost/?esper%5Fchallenge%5fproof=old&x=1",
        ] {
            let after = "http://localhost/?x=1&esper_challenge_proof=p";
            assert_eq!(with_proof(url(before), "p").as_str(), after, "{before}");
        }
    }
}
