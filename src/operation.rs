//! What the spec says of an operation beyond its request and its answer.

include!(concat!(env!("OUT_DIR"), "/operations.rs"));

/// One row of the table that `build.rs` makes from the spec.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    /// The path with its parameters in braces, if it has any.
    pub(crate) path: &'static str,
    pub(crate) server: Server,
    pub(crate) key: KeyHeader,
    pub(crate) repeat: Repeat,
    pub(crate) answers_with_json: bool,
}

impl Operation {
    /// Whether a path is one of this operation: a parameter such as `..` leads to another one.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        if path == self.path {
            return true;
        }
        let (parts, found) = (self.path.split('/'), path.split('/'));
        parts.clone().count() == found.clone().count()
            && parts.zip(found).all(|(part, found)| {
                if part.contains('{') {
                    // A backslash is as good as a slash where the server's URL is http.
                    !found.is_empty() && !found.contains('\\')
                } else {
                    part == found
                }
            })
    }
}

/// How a request carries the key.
#[derive(Debug)]
pub(crate) struct KeyHeader {
    pub(crate) name: &'static str,
    pub(crate) prefix: &'static str,
}

/// When an operation may be repeated (`x-esper-retry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// After any failure that may pass.
    Always,
    /// Only when the service certainly did not process it.
    Unprocessed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_leads_to_the_path_of_another_operation() {
        let key = KeyHeader { name: "authorization", prefix: "" };
        let operation = Operation {
            id: "get_x",
            path: "/v1/x/{id}/usage",
            server: Server::Api,
            key,
            repeat: Repeat::Always,
            answers_with_json: true,
        };
        // As the generated client writes it.
        let path = |id: &str| {
            let id = progenitor_client::encode_path(id);
            let url = reqwest::Url::parse(&format!("esper://api/v1/x/{id}/usage")).unwrap();
            operation.has_path(url.path())
        };
        for id in ["abc", "a b/c?d#e%41", "ä", "...", "{id}", "%2e%2e", "..%2f", "a;b", "'\"<>|^`"]
        {
            assert!(path(id), "{id}");
        }
        for id in ["", ".", "..", r"..\..\..\v1\mitigate", r"a\b"] {
            assert!(!path(id), "{id}");
        }
    }
}
