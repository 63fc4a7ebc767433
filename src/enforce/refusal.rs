//! Why something signed is not believed.

/// A closed list, for metrics. A visitor learns none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing that this site writes: too long, not base64, of another version, or cut off.
    Malformed,
    /// Signed by a key that is no longer, or was never, one of ours.
    UnknownKey,
    /// Not what the key signed, or signed for another purpose.
    BadSignature,
    /// Its time is over.
    Expired,
    /// Issued later than now, by more than clocks may differ.
    FromTheFuture,
    /// Issued to another site, user agent or network.
    OtherVisitor,
    /// Redeemed already.
    Spent,
    /// Tried too often.
    TooManyAttempts,
}

impl Refusal {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for the labels of metrics"))]
    pub(crate) const ALL: [Self; 8] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::Expired,
        Self::FromTheFuture,
        Self::OtherVisitor,
        Self::Spent,
        Self::TooManyAttempts,
    ];

    /// A short name for metrics and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::FromTheFuture => "from_the_future",
            Self::OtherVisitor => "other_visitor",
            Self::Spent => "spent",
            Self::TooManyAttempts => "too_many_attempts",
        }
    }
}
