//! Why something signed is not believed, or something handed in gives no clearance.

/// A closed list, for metrics. A visitor learns little of it.
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
    /// Tried too often, or by a network that tries too much.
    TooManyAttempts,
    /// Handed in by a page of another site.
    CrossSite,
    /// Handed in as something else than JSON.
    NotJson,
    /// Handed in with a body that is too large.
    TooLarge,
    /// Handed in with a body that did not come to its end in time.
    TimedOut,
    /// Handed in with a body that broke off.
    Incomplete,
    /// Handed in with a body that is not the JSON object that it should be.
    MalformedBody,
    /// Esper does not accept the answer.
    Wrong,
    /// Esper does not accept the proof of a managed challenge.
    Unproven,
    /// Esper cannot be asked now.
    Unavailable,
}

impl Refusal {
    #[cfg_attr(
        not(any(feature = "metrics", test)),
        expect(dead_code, reason = "for the labels of metrics")
    )]
    pub(crate) const ALL: [Self; 17] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::BadSignature,
        Self::Expired,
        Self::FromTheFuture,
        Self::OtherVisitor,
        Self::Spent,
        Self::TooManyAttempts,
        Self::CrossSite,
        Self::NotJson,
        Self::TooLarge,
        Self::TimedOut,
        Self::Incomplete,
        Self::MalformedBody,
        Self::Wrong,
        Self::Unproven,
        Self::Unavailable,
    ];

    /// A short name for metrics, logs and programs.
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
            Self::CrossSite => "cross_site",
            Self::NotJson => "not_json",
            Self::TooLarge => "too_large",
            Self::TimedOut => "timed_out",
            Self::Incomplete => "incomplete",
            Self::MalformedBody => "malformed_body",
            Self::Wrong => "wrong",
            Self::Unproven => "unproven",
            Self::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_is_on_the_list_under_a_name_of_its_own() {
        // The last one's number is right only if the list has all before it.
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
        assert_eq!(Refusal::ALL.len(), Refusal::Unavailable as usize + 1);
        let names: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
        assert_eq!(names.len(), Refusal::ALL.len());
    }
}
