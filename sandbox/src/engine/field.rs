//! The fields of an event or a request that a policy can look at.

use std::fmt;

/// A field of an event or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Type,
    ClientIp,
    UserAgent,
    SessionId,
    Method,
    Path,
    /// A header by its name, in lower case.
    Header(String),
    /// A member of an event's `data` or of a request's `metadata`.
    Data(String),
}

impl Field {
    /// Reads a field's name, or tells which there are.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let plain = Self::PLAIN.into_iter().find(|field| field.to_string() == name);
        if let Some(field) = plain {
            return Ok(field);
        }
        match name.split_once('.') {
            Some(("headers", name)) if is_header(name) => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            Some(("data" | "metadata", name)) if !name.is_empty() => Ok(Self::Data(name.into())),
            _ => Err(format!("unknown field {name:?}, expected {FIELDS}")),
        }
    }

    const PLAIN: [Self; 6] =
        [Self::Type, Self::ClientIp, Self::UserAgent, Self::SessionId, Self::Method, Self::Path];
}

/// As it stands in a file.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type => f.write_str("type"),
            Self::ClientIp => f.write_str("client_ip"),
            Self::UserAgent => f.write_str("user_agent"),
            Self::SessionId => f.write_str("session_id"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "headers.{name}"),
            Self::Data(name) => write!(f, "data.{name}"),
        }
    }
}

fn is_header(name: &str) -> bool {
    axum::http::HeaderName::try_from(name).is_ok()
}

const FIELDS: &str = "type, client_ip, user_agent, session_id, method, path, headers.NAME, \
                      data.NAME or metadata.NAME";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_it_is_written() {
        for name in ["type", "client_ip", "session_id", "headers.accept-language", "data.a.b"] {
            assert_eq!(Field::parse(name).map(|field| field.to_string()), Ok(name.to_owned()));
        }
        assert_eq!(Field::parse("headers.X-A"), Field::parse("headers.x-a"));
        assert_eq!(Field::parse("metadata.plan"), Field::parse("data.plan"));
        for name in ["", "ip", "data.", "headers.", "headers.a b", "body.x"] {
            assert!(Field::parse(name).is_err(), "{name}");
        }
    }
}
