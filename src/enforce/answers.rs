//! Answers in place of the application's: what they are, and who gets which.

pub(super) mod answer;
pub(super) mod audience;
pub(super) mod body;
pub(super) mod deny;
pub(super) mod pages;
