//! The way of a visitor through a challenge, also where nobody counts it.

/// How far a visitor comes with a challenge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// It was the answer to a request.
    Issued,
    /// Its page runs in a browser.
    Loaded,
    /// An answer to it, or a proof, was handed in, and Esper is asked whether it is right.
    Submitted,
    /// Esper took the answer, and the visitor got a clearance.
    Redeemed,
    /// What was handed in gave no clearance.
    Refused,
}

impl Stage {
    pub(crate) const ALL: [Self; 5] =
        [Self::Issued, Self::Loaded, Self::Submitted, Self::Redeemed, Self::Refused];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Loaded => "loaded",
            Self::Submitted => "submitted",
            Self::Redeemed => "redeemed",
            Self::Refused => "refused",
        }
    }
}
