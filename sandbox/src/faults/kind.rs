//! The kinds of faults.

/// What goes wrong, named as the admin interface does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Delay,
    Status,
    Html,
    Truncated,
    Reset,
    ResetInBody,
    LostAnswer,
    Silence,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Delay,
        Self::Status,
        Self::Html,
        Self::Truncated,
        Self::Reset,
        Self::ResetInBody,
        Self::LostAnswer,
        Self::Silence,
    ];

    /// The kind of a name such as `lost_answer`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Status => "status",
            Self::Html => "html",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::ResetInBody => "reset_in_body",
            Self::LostAnswer => "lost_answer",
            Self::Silence => "silence",
        }
    }

    /// Whether the call is processed all the same.
    pub(super) fn is_processed(self) -> bool {
        match self {
            Self::Delay | Self::Truncated | Self::ResetInBody | Self::LostAnswer => true,
            Self::Status | Self::Html | Self::Reset | Self::Silence => false,
        }
    }
}
